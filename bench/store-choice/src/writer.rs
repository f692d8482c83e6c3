//! One thread with one connection; what waits in its queue shares a commit.

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use rusqlite::{Connection, params};
use tokio::sync::oneshot;

use super::{EVENT, Issuance, SCHEMA, SPEND, TOKEN, Writes};

type Job = (Issuance, oneshot::Sender<()>);

pub struct Writer(SyncSender<Job>);

impl Writer {
    pub fn open(file: &Path) -> Self {
        let connection = Connection::open(file).expect("a file");
        connection
            .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")
            .expect("settings");
        connection.execute_batch(SCHEMA).expect("the schema");
        let (queue, jobs) = sync_channel(4096);
        std::thread::spawn(move || serve(&connection, &jobs));
        Self(queue)
    }
}

impl Writes for Writer {
    async fn record(&self, issuance: Issuance) {
        let (reply, answer) = oneshot::channel();
        self.0.try_send((issuance, reply)).expect("room in the queue");
        answer.await.expect("an answer");
    }
}

fn serve(connection: &Connection, jobs: &Receiver<Job>) {
    while let Ok(first) = jobs.recv() {
        let mut batch = vec![first];
        batch.extend(jobs.try_iter().take(511));
        write(connection, &batch).expect("a commit");
        for (_, reply) in batch {
            let _ = reply.send(());
        }
    }
}

fn write(connection: &Connection, batch: &[Job]) -> rusqlite::Result<()> {
    let run = |sql| connection.prepare_cached(sql)?.execute([]).map(drop);
    run("BEGIN IMMEDIATE")?;
    for (issuance, _) in batch {
        run("SAVEPOINT job")?;
        for key in [issuance.proof, issuance.assertion] {
            connection.prepare_cached(SPEND)?.execute(params![key, 0])?;
        }
        connection.prepare_cached(TOKEN)?.execute(params![
            issuance.hash,
            issuance.token_id,
            "agent-1",
            "agent-1",
            [1_u8; 32],
            "https://api.example.com/",
            "approvals:read approvals:write",
            1_700_000_000_i64,
            1_700_000_300_i64,
        ])?;
        connection.prepare_cached(EVENT)?.execute(params![issuance.json, [2_u8; 32]])?;
        run("RELEASE job")?;
    }
    run("COMMIT")
}
