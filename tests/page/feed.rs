//! Two people in two real browsers share a feed: posts with pictures, reactions, comments and the bell, all live.

use std::path::{Path, PathBuf};

use crate::browser::{Driver, ENTER, Tab, together};
use crate::support::Server;

/// A PNG of two pixels.
pub const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x02\0\0\0\x01\x08\x02\0\0\0{@\xe8\xdd\0\0\0\rIDATx\x9cc\xf8\xcf\0\x04\xff\x01\x07\0\x01\xff\xe2#\x9eY\0\0\0\0IEND\xaeB`\x82";
pub const TOO_LARGE_BYTES: u64 = 25 * 1024 * 1024 + 1;

#[tokio::test]
async fn two_people_share_a_feed_between_two_browsers() {
    let server = Server::start().await;
    let folder = tempfile::tempdir().expect("a folder for pictures");
    let driver = Driver::start();
    let ana = Tab::open(&driver, &server.http("/"), "es-CO").await;
    let beto = Tab::open(&driver, &server.http("/"), "en-US").await;
    let pictures = Pictures::in_folder(folder.path());
    together(ana.clone(), beto.clone(), driver, shared_feed(ana, beto, pictures)).await;
}

/// Files that a browser can choose.
struct Pictures {
    small: [PathBuf; 2],
    broken: PathBuf,
    too_large: PathBuf,
}

impl Pictures {
    fn in_folder(folder: &Path) -> Self {
        let small = ["playa.png", "cancha.png"].map(|name| folder.join(name));
        for path in &small {
            std::fs::write(path, PNG).expect("a picture can be written");
        }
        let broken = folder.join("rota.png");
        std::fs::write(&broken, "no picture at all").expect("a file can be written");
        let too_large = folder.join("enorme.png");
        let file = std::fs::File::create(&too_large).expect("a file can be made");
        file.set_len(TOO_LARGE_BYTES).expect("a file may have holes");
        Self { small, broken, too_large }
    }
}

async fn shared_feed(ana: Tab, beto: Tab, pictures: Pictures) {
    ana.register("Ana Pérez", "ana").await;
    beto.register("Beto Díaz", "beto").await;
    for tab in [&ana, &beto] {
        tab.click("#section-feed").await;
        tab.shows("[data-testid=feed-connection][data-state=live]").await;
    }
    follow(&beto, &ana).await;
    publish_with_pictures(&ana, &pictures).await;

    // Beto sees the post as soon as it is complete, and only once.
    beto.shows_part("post-text", "Tarde de playa").await;
    beto.shows("[data-testid=post-image]:nth-of-type(2)").await;
    assert_eq!(beto.count("[data-testid=post]").await, 1);
    assert_eq!(ana.count("[data-testid=post]").await, 1);

    react(&ana, &beto).await;
    edit_and_share(&ana, &beto).await;
    comment(&ana, &beto).await;
    read_the_bell(&ana).await;
    more_replies(&ana, &beto).await;

    // A deleted post is gone for both.
    ana.click("#back-to-feed").await;
    ana.click("[data-testid=delete-post]").await;
    ana.click("[data-testid=sure]").await;
    beto.shows(".feed-note:not(:empty)").await;
    beto.click("#back-to-feed").await;
    beto.shows(".feed-note[data-kind=empty]").await;
}

async fn follow(beto: &Tab, ana: &Tab) {
    beto.fill("#people-search", "ana").await;
    beto.click("[data-testid=person][data-username=ana] [data-testid=follow]").await;
    beto.shows("[data-testid=person][data-username=ana] [data-testid=follow][aria-pressed=true]").await;
    ana.shows_part("bell-badge", "1").await;
}

/// A file that is too large or not a picture shows what to do, and does not block the others.
async fn publish_with_pictures(ana: &Tab, pictures: &Pictures) {
    ana.fill("#post-text", "Tarde de playa").await;
    ana.choose("#post-files", &pictures.too_large).await;
    ana.shows_part("upload-problem", "Quítalo y elige uno más pequeño.").await;
    ana.click("#publish").await;
    ana.shows("[data-testid=post-upload][data-status=unfit]").await;
    ana.click("[data-testid=post-upload][data-status=unfit] [data-testid=remove-file]").await;

    for file in [&pictures.small[0], &pictures.broken, &pictures.small[1]] {
        ana.choose("#post-files", file).await;
    }
    ana.shows("[data-testid=post-upload]:nth-of-type(3) progress").await;
    ana.click("#publish").await;
    for (place, status) in [(2, "failed"), (1, "done"), (3, "done")] {
        ana.shows(&format!("[data-testid=post-upload]:nth-of-type({place})[data-status={status}]")).await;
    }
    ana.shows_part("upload-problem", "Quítalo o inténtalo de nuevo.").await;
    ana.click("[data-testid=post-upload][data-status=failed] [data-testid=remove-file]").await;
    ana.click("#publish").await;
    ana.shows_part("post-text", "Tarde de playa").await;
    ana.shows("[data-testid=post-image]:nth-of-type(2)").await;
    ana.shows(".uploads:empty").await;
}

async fn react(ana: &Tab, beto: &Tab) {
    beto.click("[data-testid=post-reaction][data-type=like]").await;
    ana.shows("[data-testid=post-reaction][data-type=like][data-count='1'][aria-pressed=false]").await;
    // Another reaction replaces the first one; the same one again takes it back.
    beto.click("[data-testid=post-reaction][data-type=celebration][aria-pressed=false]").await;
    ana.shows("[data-testid=post-reaction][data-type=celebration][data-count='1']").await;
    ana.shows("[data-testid=post-reaction][data-type=like][data-count='0']").await;
    beto.click("[data-testid=post-reaction][data-type=celebration][aria-pressed=true]").await;
    ana.shows("[data-testid=post-reaction][data-type=celebration][data-count='0']").await;
    // A golazo is a cheer here as in a chat, also after a reload.
    beto.click("[data-testid=post-reaction][data-type=golazo][aria-label='Golazo: 0']").await;
    ana.shows("[data-testid=post-reaction][data-type=golazo][data-count='1']").await;
    beto.client.refresh().await.expect("the page reloads");
    beto.click("[data-testid=post-reaction][data-type=golazo][aria-pressed=true]").await;
    beto.click("[data-testid=post-reaction][data-type=like][aria-pressed=false]").await;
    ana.shows("[data-testid=post-reaction][data-type=like][data-count='1']").await;
}

async fn edit_and_share(ana: &Tab, beto: &Tab) {
    assert_eq!(beto.count("[data-testid=edit-post]").await, 0, "somebody else's");
    ana.click("[data-testid=edit-post]").await;
    ana.fill("[data-testid=edit-text]", " y arena").await;
    ana.click("[data-testid=save-text]").await;
    for tab in [ana, beto] {
        tab.shows_part("post-text", "Tarde de playa y arena").await;
    }
    assert_eq!(ana.count("dialog").await, 0, "it closed");
    beto.click("[data-testid=share-post]").await;
    for tab in [ana, beto] {
        tab.shows("[data-testid=share-post][data-count='1']").await;
    }
}

/// More replies than a comment brings with it; by then the bell has more than a page.
async fn more_replies(ana: &Tab, beto: &Tab) {
    for number in 1..=23 {
        beto.click("[data-testid=comment-reply]").await;
        beto.fill("#comment-text", &format!("Respuesta {number}.{ENTER}")).await;
        ana.shows_part("comment-text", &format!("Respuesta {number}.")).await;
    }
    ana.client.refresh().await.expect("the page reloads");
    ana.shows_part("comment-text", "Respuesta 3.").await;
    ana.shows("[data-testid=post-connection][data-state=live]").await;
    ana.shows_part("more-replies", "20").await;
    beto.click("#comments > :last-child [data-testid=comment-delete]").await;
    beto.click("[data-testid=sure]").await;
    ana.shows_part("more-replies", "19").await;
    for shown in [20, 22] {
        ana.click("[data-testid=more-replies]").await;
        ana.shows_part("comment-text", &format!("Respuesta {shown}.")).await;
    }
    assert_eq!((ana.count("[data-testid=more-replies]").await, ana.count(".comment.depth-1").await), (0, 22));
    beto.click(".depth-1 [data-testid=comment-edit]").await;
    beto.fill("[data-testid=edit-text]", " Corregida").await;
    beto.click("[data-testid=save-text]").await;
    for tab in [ana, beto] {
        tab.shows_part("comment-text", "Corregida").await;
    }
    ana.click("#bell").await;
    // One of the twenty that came told of the reply that is gone.
    ana.shows("[data-testid=notification]:nth-of-type(19)").await;
    ana.click("#more-notifications").await;
    ana.shows("[data-testid=notification]:nth-of-type(23)").await;
    ana.shows("#more-notifications[hidden]").await;
    ana.click("#bell").await;
}

async fn comment(ana: &Tab, beto: &Tab) {
    for tab in [ana, beto] {
        tab.click("[data-testid=post-comments]").await;
        tab.shows("[data-testid=post-connection][data-state=live]").await;
    }
    // Who writes is seen before the comment is, and no more once it is there.
    beto.fill("#comment-text", "¡Qué <b>lindo</b>!").await;
    ana.shows("[data-testid=post-typing].shown").await;
    beto.fill("#comment-text", ENTER).await;
    ana.shows_part("comment-text", "¡Qué <b>lindo</b>!").await;
    ana.shows("[data-testid=post-typing]:not(.shown)").await;
    ana.click("[data-testid=comment-like][aria-pressed=false]").await;
    beto.shows("[data-testid=comment-like][data-count='1'][aria-pressed=false]").await;
    ana.click("[data-testid=comment-reply]").await;
    ana.fill("#comment-text", &format!("Vente el domingo{ENTER}")).await;
    beto.shows_part("comment-text", "Vente el domingo").await;
    beto.shows(".comment.depth-1").await;
    ana.click("[data-testid=comment-delete]").await;
    ana.click("[data-testid=sure]").await;
    beto.shows("#comments > :last-child:not(.depth-1)").await;
}

/// A follower, a reaction and a comment, each read in a different way.
async fn read_the_bell(ana: &Tab) {
    ana.client.refresh().await.expect("the page reloads");
    let unread: u32 = ana.shows("[data-testid=bell-badge]:not([hidden])").await.text().await.unwrap().parse().unwrap();
    assert!(unread >= 3, "{unread} of: someone follows, likes, comments");
    ana.click("#bell").await;
    ana.click("[data-testid=notification][data-type=comment][data-read=false] .notification-open").await;
    ana.shows_part("bell-badge", &(unread - 1).to_string()).await;
    ana.shows_part("comment-text", "¡Qué <b>lindo</b>!").await;
    ana.click("#bell").await;
    ana.click("#mark-all").await;
    ana.shows("[data-testid=bell-badge][hidden]").await;
    ana.client.refresh().await.expect("the page reloads");
    ana.shows("[data-testid=notification][data-type=follow][data-read=true]").await;
    ana.shows("[data-testid=bell-badge][hidden]").await;
}
