//! `/api/schema/` over real HTTP. Whether answers are as it says is looked at wherever tests ask for anything.

use crate::support::Server;

#[tokio::test]
async fn the_document_is_served_without_a_token() {
    let server = Server::start().await;
    for path in ["/api/schema/", "/api/schema"] {
        let answer = reqwest::get(server.http(path)).await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), answer.headers()["content-type"].to_str().unwrap()),
            (200, "application/json")
        );
        let document: serde_json::Value = answer.json().await.unwrap();
        assert_eq!(document["openapi"], "3.1.0");
        assert_eq!(document, pregon::rest::schema::document());
    }
}
