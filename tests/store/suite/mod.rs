//! The behaviour of every store, whatever its database: each backend is a line, each claim a function.

mod adoption;
mod comments;
mod lane;
mod log;
mod messages;
mod notifications;
mod people;
mod posts;
mod relations;
mod rooms;
mod together;

use crate::support::{Ids, Maria, Sqlite, World};

macro_rules! suite {
    ($($backend:ident: $new:expr;)* => $claims:tt) => {
        $(mod $backend {
            #[allow(unused_imports, reason = "each backend uses a part")]
            use super::{Ids, Maria, Sqlite, World};
            suite!(@claims $new, $claims);
        })*
    };
    (@claims $new:expr, { $($area:ident: [$($claim:ident,)*])* }) => {
        $($(#[tokio::test]
        async fn $claim() {
            crate::suite::$area::$claim(World::new(Box::new($new)).await).await;
        })*)*
    };
}

suite! {
    sqlite: Sqlite::new();
    mariadb_uuid: Maria::new(Ids::Uuid);
    mariadb_char: Maria::new(Ids::Char);
    mariadb_mixed: Maria::new(Ids::Mixed);
    => {
        messages: [
            a_message_is_what_was_sent_and_what_is_read,
            replies_stay_in_their_room,
            an_attachment_goes_to_its_column,
            edits_need_an_own_text_that_is_there,
            deletion_is_soft_and_once,
            reactions_toggle,
            a_message_shows_its_newest_reactions,
            toggles_at_the_same_time_alternate,
            a_read_is_told_once_and_never_goes_back,
            mark_as_read_tells_the_newest_and_writes_all,
            pages_are_cut_and_counted,
        ]
        adoption: [
            a_row_that_is_there_gets_one_place,
            what_is_gone_or_elsewhere_gets_none,
            of_many_who_ask_one_is_first,
        ]
        lane: [
            history_has_the_order_of_the_events,
            twins_are_one_message_in_both_directions,
            twins_need_the_other_transport_the_same_words_and_ten_seconds,
            twins_are_remembered_across_a_restart,
            a_client_id_names_one_message_for_a_day,
            sessions_hear_of_refusals_and_repetitions_only,
            a_closed_store_takes_nothing_and_keeps_everything,
            sequences_have_no_holes_across_refusals_and_restarts,
            a_full_lane_gives_the_write_back,
        ]
        log: [
            the_log_says_what_was_told,
            the_log_says_when_it_does_not_reach_back,
            events_are_rebuilt_from_the_log_and_what_is_gone_is_told_as_gone,
        ]
        together: [
            news_of_many_places_is_what_each_would_be_told_alone,
            what_is_more_than_is_read_at_once_is_read_next_time,
            bearers_and_admissions_of_many_are_known_as_those_of_each,
        ]
        rooms: [
            only_active_participants_of_active_rooms_write,
            owners_and_admins_add_and_remove,
            nobody_is_added_to_a_private_room,
            whoever_leaves_writes_no_more,
            a_private_room_is_made_once,
            rooms_are_made_with_their_roles,
            rooms_are_listed_by_their_newest_message,
            settings_are_ones_own,
            admissions_are_cached_and_forgotten_by_our_writes,
            a_handshake_asks_for_the_bearer_and_the_admission_at_once,
            what_is_taken_from_somebody_changes_their_mark,
            others_changes_show_within_seconds,
        ]
        people: [
            registration_keeps_names_unique,
            logins_find_mail_and_name,
            logins_end,
            a_refresh_token_is_used_up_once,
            revoked_tokens_are_known,
            people_are_found_by_any_name,
            friends_and_requests_show_in_people,
        ]
        posts: [
            a_post_is_what_was_published_and_what_is_read,
            lists_show_whose_posts_they_should,
            a_large_circle_is_listed_as_a_small_one,
            edits_are_the_authors_alone,
            deleting_a_post_takes_all_with_it,
            a_post_with_many_comments_goes_in_several_writes,
            a_reaction_replaces_and_takes_back,
            reactions_of_many_at_once_add_up,
            a_private_post_is_its_authors_alone,
            a_post_is_shared_once,
            a_post_shows_its_newest_reactions,
        ]
        comments: [
            comments_are_nested_counted_and_paged,
            a_comment_needs_an_open_post_and_a_parent_on_it,
            deleting_a_comment_takes_its_answers,
            a_comment_with_many_answers_goes_in_several_writes,
            ones_own_comes_back_from_a_private_post,
            comments_of_many_at_once_add_up,
            a_comment_is_edited_by_its_author,
            likes_of_comments_count_once,
        ]
        relations: [
            follows_move_counters_and_audience,
            friends_are_made_by_request,
            a_request_may_be_withdrawn_or_refused,
            nobody_joins_with_oneself_or_nobody,
            friends_who_follow_hear_until_both_end,
        ]
        notifications: [
            each_rule_tells_whom_it_should,
            nobody_is_told_of_their_own_doing,
            reactions_are_told_once_an_hour,
            what_is_told_of_a_reaction_follows_it,
            what_is_told_goes_with_what_it_tells_of,
            follows_and_requests_are_told_once_an_hour,
            notifications_are_read_once_and_go,
            one_write_takes_places_in_several_topics,
        ]
    }
}
