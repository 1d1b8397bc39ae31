//! Two people in two real browsers talk through the page, and see each other live.

use crate::browser::{ARROW_UP, Driver, ENTER, Tab, together};
use crate::support::Server;

#[tokio::test]
async fn two_people_talk_live_between_two_browsers() {
    let server = Server::start().await;
    let driver = Driver::start();
    let ana = Tab::open(&driver, &server.http("/"), "es-CO").await;
    let beto = Tab::open(&driver, &server.http("/"), "en-US").await;
    together(ana.clone(), beto.clone(), driver, conversation(ana, beto)).await;
}

async fn conversation(ana: Tab, beto: Tab) {
    ana.shows("html[lang='es']").await;
    beto.shows("html[lang='en']").await;
    ana.register("Ana Pérez", "ana").await;
    beto.register("Beto Díaz", "beto").await;

    // Ana finds Beto and writes; the room appears in Beto's list by itself.
    ana.fill("#search", "beto").await;
    ana.click("[data-testid=user-result][data-username=beto]").await;
    ana.shows("[data-testid=connection][data-state=live]").await;
    ana.fill("#composer-text", &format!("¿Viste el partido?{ENTER}")).await;
    ana.shows_text("¿Viste el partido?").await;
    beto.click("[data-testid=room]").await;
    beto.shows_text("¿Viste el partido?").await;

    for tab in [&ana, &beto] {
        tab.shows("[data-testid=presence][data-status=online]").await;
    }
    ana.shows("[data-testid=tick][data-read=true]").await;

    // The typing indicator comes before the message, and ends with it.
    beto.fill("#composer-text", "Sí, qué final").await;
    ana.shows(".typing.shown").await;
    beto.fill("#composer-text", ENTER).await;
    ana.shows_text("Sí, qué final").await;
    ana.shows(".typing:not(.shown)").await;

    // Text that looks like markup stays text.
    beto.fill("#composer-text", &format!("<b>gol</b>{ENTER}")).await;
    ana.shows_text("<b>gol</b>").await;

    ana.open_menu("[data-testid=message][data-own=false]").await;
    ana.click("#message-menu [data-reaction=fire]").await;
    beto.shows("[data-testid=reaction][data-type=fire][data-count='1'][aria-pressed=false]").await;

    ana.fill("#composer-text", ARROW_UP).await;
    ana.shows("[data-testid=context]").await;
    ana.fill("#composer-text", &format!(" ¡Golazo!{ENTER}")).await;
    beto.shows_text("¿Viste el partido? ¡Golazo!").await;
    beto.shows("[data-testid=edited]").await;

    // A reload keeps the user, the room and the history.
    beto.client.refresh().await.expect("the page reloads");
    beto.shows_text("¿Viste el partido? ¡Golazo!").await;
    beto.shows("[data-testid=connection][data-state=live]").await;
    beto.click("#logout").await;
    beto.shows("#login-tab").await;
    ana.shows("[data-testid=presence][data-status=absent]").await;
}
