//! A real browser for tests of the page: one driver, and any number of tabs with separate users.

use std::future::Future;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use fantoccini::actions::{InputSource, MouseActions, PointerAction};
use fantoccini::elements::Element;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

use crate::support::Server;

/// Generous, because a busy machine may start two browsers slowly; every wait ends as soon as its condition holds.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub const ENTER: &str = "\u{e007}";
pub const ARROW_UP: &str = "\u{e013}";

/// Runs a story of two people, and closes both browsers even if it panics.
pub async fn together(ana: Tab, beto: Tab, driver: Driver, both: impl Future<Output = ()> + Send + 'static) {
    let outcome = tokio::spawn(both).await;
    for tab in [ana, beto] {
        let _ = tab.client.close().await;
    }
    drop(driver);
    if let Err(failure) = outcome {
        std::panic::resume_unwind(failure.into_panic());
    }
}

/// Runs a story of one person, and closes the browser even if it panics.
pub async fn alone<Story: Future<Output = ()> + Send + 'static>(
    server: Server,
    preferences: Value,
    story: impl FnOnce(Server, Tab) -> Story,
) {
    let driver = Driver::start();
    let tab = Tab::open_with(&driver, &server.http("/"), &preferences).await;
    let outcome = tokio::spawn(story(server, tab.clone())).await;
    let _ = tab.client.close().await;
    drop(driver);
    if let Err(failure) = outcome {
        std::panic::resume_unwind(failure.into_panic());
    }
}

/// One browser with one page.
#[derive(Clone)]
pub struct Tab {
    pub client: Client,
}

impl Tab {
    pub async fn open(driver: &Driver, address: &str, language: &str) -> Self {
        Self::open_with(driver, address, &json!({ "intl.accept_languages": language })).await
    }

    /// With these preferences of the browser.
    pub async fn open_with(driver: &Driver, address: &str, preferences: &Value) -> Self {
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities(preferences))
            .connect(&driver.address)
            .await
            .expect("chromedriver could not start Chromium: they must be of the same version");
        client.goto(address).await.expect("the page opens");
        Self { client }
    }

    pub async fn register(&self, display_name: &str, username: &str) {
        self.fill("#display-name", display_name).await;
        let field = self.shows("#username").await;
        field.clear().await.expect("the suggested username can be replaced");
        self.fill("#username", username).await;
        self.fill("#password", "golazo-2026").await;
        self.click("#submit").await;
        self.shows(&format!("#me[data-username={username}]")).await;
    }

    /// Signs in as a user of the seeded database.
    pub async fn enter(&self, server: &Server, user: usize) {
        let profile = server.done("GET", "/api/auth/profile/", user, None).await;
        let session = json!({ "user": profile, "access": server.fixture.users[user].token, "refresh": "" });
        let script = "sessionStorage.setItem('pregon.session', JSON.stringify(arguments[0])); location.reload();";
        self.run(script, vec![session]).await;
        self.shows("#me").await;
    }

    /// Opens a seeded room and waits until its socket is live.
    pub async fn open_room(&self, server: &Server, room: usize) {
        let id = &server.fixture.rooms[room].id;
        self.run("location.hash = `#/chat/${arguments[0]}`;", vec![json!(id)]).await;
        self.shows(&format!("#chat[data-room-id='{id}'] [data-testid=connection][data-state=live]")).await;
    }

    /// Runs a script in the page.
    pub async fn run(&self, script: &str, arguments: Vec<Value>) -> Value {
        self.client.execute(script, arguments).await.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// Runs a script until it returns true.
    pub async fn until(&self, script: &str) {
        let holds = async { while self.run(script, vec![]).await != true {} };
        let in_time = tokio::time::timeout(PATIENCE, holds).await;
        assert!(in_time.is_ok(), "never true: {script}; the page shows: {}", self.visible_text().await);
    }

    /// Waits until an element matches.
    pub async fn shows(&self, selector: &str) -> Element {
        self.find(Locator::Css(selector)).await
    }

    /// Waits until a message has exactly this text.
    pub async fn shows_text(&self, text: &str) -> Element {
        assert!(!text.contains('"'), "the path below would end early");
        self.find(Locator::XPath(&format!("//*[@data-testid='text'][.=\"{text}\"]"))).await
    }

    /// Waits until an element of this test id contains this text.
    pub async fn shows_part(&self, testid: &str, text: &str) -> Element {
        assert!(!text.contains('"'), "the path below would end early");
        self.find(Locator::XPath(&format!("//*[@data-testid='{testid}'][contains(., \"{text}\")]"))).await
    }

    /// The number of elements that match now.
    pub async fn count(&self, selector: &str) -> usize {
        self.client.find_all(Locator::Css(selector)).await.expect("the page can be asked").len()
    }

    /// Chooses a file, as its dialog would.
    pub async fn choose(&self, selector: &str, file: &Path) {
        self.fill(selector, &file.display().to_string()).await;
    }

    pub async fn find(&self, locator: Locator<'_>) -> Element {
        match self.client.wait().at_most(PATIENCE).for_element(locator).await {
            Ok(element) => element,
            Err(error) => panic!("{locator:?} did not appear: {error}; the page shows: {}", self.visible_text().await),
        }
    }

    async fn visible_text(&self) -> String {
        let text = self.client.execute("return document.body.innerText", vec![]).await;
        text.map_or_else(|error| error.to_string(), |text| text.to_string())
    }

    /// The page may be replacing the element, so a refused click is repeated on a fresh one.
    pub async fn click(&self, selector: &str) {
        let clicked = async { while self.shows(selector).await.click().await.is_err() {} };
        let in_time = tokio::time::timeout(PATIENCE, clicked).await;
        assert!(in_time.is_ok(), "{selector} could not be clicked");
    }

    pub async fn fill(&self, selector: &str, keys: &str) {
        self.shows(selector).await.send_keys(keys).await.expect("the field takes keys");
    }

    /// The actions of a message appear under the pointer.
    pub async fn open_menu(&self, message: &str) {
        let bubble = self.shows(&format!("{message} .bubble")).await;
        let hover = PointerAction::MoveToElement { element: bubble, duration: None, x: 0.0, y: 0.0 };
        let pointer = MouseActions::new("mouse".to_owned()).then(hover);
        self.client.perform_actions(pointer).await.expect("the pointer moves");
        self.click(&format!("{message} [data-testid=message-actions]")).await;
        self.shows("#message-menu").await;
    }
}

/// A headless Chromium that only talks to the server under test.
fn capabilities(preferences: &Value) -> serde_json::Map<String, Value> {
    let arguments = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--window-size=1280,800",
        // A microphone that beeps, and a person who allows it.
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        // Without these flags a machine without a mouse would get the touch-screen version of the page.
        "--blink-settings=primaryHoverType=2,availableHoverTypes=2,primaryPointerType=4,availablePointerTypes=4",
    ];
    let options = json!({
        "binary": program(&["chromium", "chromium-browser", "google-chrome"]),
        "args": arguments,
        "prefs": preferences,
    });
    serde_json::Map::from_iter([
        ("browserName".to_owned(), json!("chrome")),
        ("goog:chromeOptions".to_owned(), options),
    ])
}

/// The path of the first of these programs that is installed. A missing browser fails the test instead of skipping it.
fn program(names: &[&str]) -> String {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut candidates =
        names.iter().flat_map(|name| std::env::split_paths(&path).map(move |folder| folder.join(name)));
    candidates.find(|candidate| candidate.is_file()).map_or_else(
        || panic!("this test needs {}: install the packages chromium and chromium-driver", names.join(" or ")),
        |found| found.display().to_string(),
    )
}

/// A test's own chromedriver, on a port that it chose.
pub struct Driver {
    process: Child,
    address: String,
    /// Kept open, because chromedriver would end at its next line if the other end were closed.
    _output: BufReader<ChildStdout>,
}

impl Driver {
    pub fn start() -> Self {
        let mut process = Command::new(program(&["chromedriver"]))
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver starts");
        let mut output = BufReader::new(process.stdout.take().expect("its output is piped"));
        // "ChromeDriver was started successfully on port 41243."
        let port = output.by_ref().lines().map_while(Result::ok).find_map(|line| {
            let (_, port) = line.split_once("successfully on port ")?;
            port.trim_end_matches('.').parse::<u16>().ok()
        });
        let Some(port) = port else {
            let _ = process.kill();
            panic!("chromedriver ended without saying its port");
        };
        Self { process, address: format!("http://127.0.0.1:{port}"), _output: output }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
