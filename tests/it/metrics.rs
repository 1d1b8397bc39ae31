//! `/metrics` shows what has just been done.

use reqwest::StatusCode;

use crate::support::Server;

/// The value of the series with this name and these labels in any order.
fn value(text: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
    let is_it = |line: &&str| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
            && labels.iter().all(|label| line.contains(label.as_str()))
    };
    text.lines().find(is_it)?.rsplit(' ').next()?.parse().ok()
}

#[tokio::test]
async fn requests_are_counted_by_route_and_status() {
    let server = Server::builder().seed(1, 0, 0).start().await;
    let text = async || reqwest::get(server.http("/metrics")).await.unwrap().text().await.unwrap();
    let profile = "/api/users/profile/{name}";
    let user = &server.fixture.users[0];
    let client = reqwest::Client::new();
    for (path, expected) in [(user.username.as_str(), 200), ("user00001", 200), ("nobody", 404), ("nobody", 404)] {
        let request = client.get(server.http(&format!("/api/users/profile/{path}/"))).bearer_auth(&user.token);
        assert_eq!(request.send().await.unwrap().status(), expected);
    }
    let odd = reqwest::Method::from_bytes(b"BREW").unwrap();
    let odd = client.request(odd, server.http("/api/auth/login/")).send().await.unwrap();
    assert_eq!(odd.status(), StatusCode::METHOD_NOT_ALLOWED);
    let text = text().await;
    let requests = |method, route, status| {
        value(&text, "pregon_http_requests_total", &[("method", method), ("route", route), ("status", status)])
    };
    assert_eq!(requests("GET", profile, "200"), Some(2.0), "{text}");
    assert_eq!(requests("GET", profile, "404"), Some(2.0));
    assert_eq!(requests("other", "/api/auth/login", "405"), Some(1.0), "a client cannot make series of its own");
    assert_eq!(value(&text, "pregon_http_request_seconds_count", &[("route", profile)]), Some(4.0));
}

#[tokio::test]
async fn the_process_its_version_and_its_files_are_measured() {
    let server = Server::builder().on_file().seed(1, 0, 0).start().await;
    server.wait_for_metric("pregon_database_bytes", |bytes| bytes > 4096.0).await;
    let text = reqwest::get(server.http("/metrics")).await.unwrap().text().await.unwrap();
    assert_eq!(value(&text, "pregon_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), Some(1.0));
    assert!(value(&text, "pregon_wal_bytes", &[]).is_some());
    let resident = value(&text, "process_resident_memory_bytes", &[]).unwrap();
    assert!((5e6..5e9).contains(&resident), "{resident}");
    assert!(value(&text, "process_open_fds", &[]).unwrap() > 5.0);
    assert!(value(&text, "process_threads", &[]).unwrap() > 3.0);
}
