//! Tests of the stores without a server: one suite for all, plain models, and each database's faults.

mod crash;
mod faults_commit;
mod faults_mysql;
mod faults_sqlite;
mod given_ids;
mod on_mariadb;
mod on_sqlite;
mod retention;
mod shadow_chat;
mod shadow_feed;
mod suite;
mod support;
