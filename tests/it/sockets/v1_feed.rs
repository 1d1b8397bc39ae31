//! A page of the feed goes live: subscribe, ask whether the page is as it was, and apply what comes by each post's id.

use std::collections::BTreeMap;

use crate::support::Server;
use crate::support::v1::Client;
use reqwest::Response;
use serde_json::{Value, json};

async fn feed(server: &Server, tag: Option<&str>) -> Response {
    let mut request = server.client().get(server.http("/api/posts/")).bearer_auth(&server.fixture.users[0].token);
    if let Some(tag) = tag {
        request = request.header("if-none-match", tag);
    }
    request.send().await.unwrap()
}

fn tag_of(answer: &Response) -> String {
    answer.headers()["etag"].to_str().unwrap().to_owned()
}

/// What a client shows of each post.
type Shown = BTreeMap<String, (String, u64)>;

fn shown(post: &Value) -> (String, u64) {
    (post["content"].as_str().unwrap().to_owned(), post["likes_count"].as_u64().unwrap())
}

fn all_of(page: &Value) -> Shown {
    let posts = page["results"].as_array().unwrap();
    posts.iter().map(|post| (post["id"].as_str().unwrap().to_owned(), shown(post))).collect()
}

/// Each frame of a feed says what a post is, and not what changed: an earlier or a second one does no harm.
fn apply(posts: &mut Shown, event: &Value) {
    match event["type"].as_str().unwrap() {
        "new_post" | "post_updated" => {
            posts.insert(event["post"]["id"].as_str().unwrap().to_owned(), shown(&event["post"]));
        }
        "post_deleted" => drop(posts.remove(event["post_id"].as_str().unwrap())),
        "post_reaction" => {
            if let Some(post) = posts.get_mut(event["post_id"].as_str().unwrap()) {
                post.1 = event["reaction_data"]["likes_count"].as_u64().unwrap();
            }
        }
        kind => panic!("{kind}"),
    }
}

#[tokio::test]
async fn a_page_that_is_as_it_was_is_not_sent_again() {
    let server = Server::builder().seed(3, 1, 3).start().await;
    server.follow(0, 1).await;
    server.publish(1, "un gol").await;
    let page = feed(&server, None).await;
    assert_eq!(page.status(), 200);
    let tag = tag_of(&page);
    // The page was rendered by somebody else. Now it goes live.
    let mut ana = Client::open(&server, 0).await;
    ana.subscribed("feed", None).await;
    let same = feed(&server, Some(&tag)).await;
    assert_eq!((same.status().as_u16(), tag_of(&same)), (304, tag.clone()));
    assert_eq!(same.text().await.unwrap(), "");
    server.publish(1, "otro").await;
    assert_eq!(ana.event("feed").await["event"]["post"]["content"], "otro");
    let other = feed(&server, Some(&tag)).await;
    assert_eq!(other.status(), 200);
    assert_ne!(tag_of(&other), tag);
}

/// Posts come, change and go all the time, before and behind each step.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_goes_live_without_a_hole_or_a_double() {
    let server = std::sync::Arc::new(Server::builder().seed(3, 1, 3).set("PREGON_SHARDS", 2).start().await);
    server.follow(0, 1).await;
    for round in 0..10 {
        server.publish(1, "antes").await;
        let page = feed(&server, None).await;
        let tag = tag_of(&page);
        let mut posts = all_of(&page.json().await.unwrap());
        let busy = server.clone();
        let talk = tokio::spawn(async move {
            for number in 0..8 {
                let post = busy.publish(1, &format!("{round}.{number}")).await;
                let path = format!("/api/posts/{}", post["id"].as_str().unwrap());
                busy.done("POST", &format!("{path}/react/"), 2, Some(json!({"reaction_type": "like"}))).await;
                match number % 4 {
                    0 => drop(busy.done("DELETE", &format!("{path}/"), 1, None).await),
                    1 => {
                        let body = json!({"content": format!("{round}.{number} mejor")});
                        busy.done("PATCH", &format!("{path}/"), 1, Some(body)).await;
                    }
                    _ => {}
                }
            }
        });
        let mut ana = Client::open(&server, 0).await;
        ana.subscribed("feed", None).await;
        let page = feed(&server, Some(&tag)).await;
        if page.status() == 200 {
            posts = all_of(&page.json().await.unwrap());
        }
        talk.await.unwrap();
        // The last word about each post comes, however long it waits for its turn.
        let truth = all_of(&feed(&server, None).await.json().await.unwrap());
        while posts != truth {
            let frame = ana.next().await;
            assert_eq!(frame["topic"], "feed", "{frame}");
            apply(&mut posts, &frame["event"]);
        }
        ana.socket.close().await;
        // A page shows all that there are.
        for id in truth.keys() {
            server.done("DELETE", &format!("/api/posts/{id}/"), 1, None).await;
        }
    }
}
