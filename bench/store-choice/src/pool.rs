//! sqlx as it is usually used: a pool, one transaction per issuance.

use std::path::Path;
use std::str::FromStr as _;

use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use super::{EVENT, Issuance, SCHEMA, SPEND, TOKEN, Writes, url};

pub struct Pool(SqlitePool);

impl Pool {
    pub async fn open(file: &Path) -> Self {
        let options = SqliteConnectOptions::from_str(&url(file))
            .expect("a URL")
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(std::time::Duration::from_secs(30));
        let pool = SqlitePoolOptions::new().connect_with(options).await.expect("a pool");
        sqlx::raw_sql(SCHEMA).execute(&pool).await.expect("the schema");
        Self(pool)
    }
}

impl Writes for Pool {
    async fn record(&self, issuance: Issuance) {
        let mut transaction = self.0.begin_with("BEGIN IMMEDIATE").await.expect("a transaction");
        for key in [issuance.proof, issuance.assertion] {
            sqlx::query(SPEND)
                .bind(key.to_vec())
                .bind(0_i64)
                .execute(&mut *transaction)
                .await
                .expect("a new value");
        }
        sqlx::query(TOKEN)
            .bind(issuance.hash.to_vec())
            .bind(issuance.token_id)
            .bind("agent-1")
            .bind("agent-1")
            .bind(vec![1_u8; 32])
            .bind("https://api.example.com/")
            .bind("approvals:read approvals:write")
            .bind(1_700_000_000_i64)
            .bind(1_700_000_300_i64)
            .execute(&mut *transaction)
            .await
            .expect("a token");
        sqlx::query(EVENT)
            .bind(issuance.json)
            .bind(vec![2_u8; 32])
            .execute(&mut *transaction)
            .await
            .expect("an event");
        transaction.commit().await.expect("a commit");
    }
}
