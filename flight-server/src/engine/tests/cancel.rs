//! Statements that somebody cancels.

use std::time::Duration;

use futures::StreamExt;
use shard_reader::{PutFate, SourceErrorKind};

use super::*;

impl World {
    /// The stream is out of reach for long: planning waits for its tip.
    fn throttle(&self) {
        let shard = self.source.open_shards().remove(0);
        self.source.fail_reads(&shard, shard_reader::SourceErrorKind::Throttled, 1_000_000);
    }

    async fn ids_in(&self, state: &str) -> Vec<String> {
        let sql = format!("select id from kinesis.system.queries where state = '{state}' and sql like '%watched%'");
        let query = self.plan(&sql, false).await.unwrap();
        let mut ids = Vec::new();
        for part in query.parts {
            for batch in self.run(part).await.unwrap() {
                ids.extend(batch.column(0).as_string::<i32>().iter().flatten().map(str::to_owned));
            }
        }
        ids
    }

    async fn call(&self, session: &Session, sql: &str) -> Result<Vec<String>, EngineError> {
        let request = StatementRequest::new(sql);
        match self.engine.plan(session, request).await? {
            Planned::Done(done) => Ok(done.batches[0]
                .columns()
                .iter()
                .map(|column| column.as_string::<i32>().value(0).to_owned())
                .collect()),
            Planned::Query(_) => panic!("{sql} is a query"),
        }
    }
}

fn session(principal: &str) -> Arc<Session> {
    Session::new(SessionId("another".into()), Principal(principal.into()))
}

#[tokio::test]
async fn a_running_statement_is_cancelled_from_another_session_of_its_principal() {
    let world = World::filled(1, 1);
    let query = world.plan("/* watched */ FOLLOW select n from t", false).await.unwrap();
    let mut rows = world.engine.execute(query.parts[0].clone()).await.unwrap().batches;
    assert_eq!(rows.next().await.unwrap().unwrap().num_rows(), 1);
    assert_eq!(world.ids_in("running").await, std::slice::from_ref(&query.query_id));
    let call = format!("call kinesis.system.cancel_query('{}')", query.query_id);
    let said = world.call(&session("anonymous"), &call).await.unwrap();
    assert_eq!(said, [query.query_id.as_str(), "cancelled"]);
    let error = loop {
        match tokio::time::timeout(Duration::from_secs(60), rows.next()).await.unwrap() {
            Some(Ok(_)) => {}
            Some(Err(error)) => break error,
            None => panic!("a cancelled statement does not end well"),
        }
    };
    assert_eq!(error.category(), ErrorCategory::Cancelled);
    assert!(rows.next().await.is_none());
    drop(rows);
    assert_eq!(world.ids_in("cancelled").await, std::slice::from_ref(&query.query_id));
    assert_eq!(world.call(&session("anonymous"), &call).await.unwrap()[1], "not running");
    // its ticket is good still: a new run is not born cancelled
    let mut again = world.engine.execute(query.parts[0].clone()).await.unwrap().batches;
    assert!(again.next().await.unwrap().is_ok());
}

#[tokio::test]
async fn a_statement_is_cancelled_while_it_is_planned() {
    let world = Arc::new(World::filled(1, 1));
    world.throttle();
    let mut planning = tokio::task::JoinSet::new();
    let planned = Arc::clone(&world);
    planning.spawn(async move { planned.plan("/* watched */ select n from t", false).await.map(|_| ()) });
    let id = loop {
        tokio::task::yield_now().await;
        if let Some(id) = world.ids_in("planning").await.pop() {
            break id;
        }
    };
    let said = world
        .call(&world.session, &format!("call kinesis.system.cancel_query('{id}')"))
        .await
        .unwrap();
    assert_eq!(said[1], "cancelled");
    let ended = tokio::time::timeout(Duration::from_secs(60), planning.join_next()).await.unwrap();
    assert_eq!(ended.unwrap().unwrap().unwrap_err().category(), ErrorCategory::Cancelled);
    assert_eq!(world.ids_in("cancelled").await, [id]);
    assert!(world.ids_in("planning").await.is_empty());
    world.source.clear_scripts();
}

#[tokio::test]
async fn planning_that_its_client_gives_up_is_cancelled_and_leaves_nothing() {
    let world = World::filled(1, 1);
    world.throttle();
    let given_up = tokio::time::timeout(Duration::from_millis(50), world.plan("/* watched */ select n from t", false)).await;
    assert!(given_up.is_err());
    assert!(world.ids_in("planning").await.is_empty());
    assert_eq!(world.ids_in("cancelled").await.len(), 1);
    world.source.clear_scripts();
}

#[tokio::test]
async fn nobody_cancels_what_is_another_principals() {
    let world = World::filled(1, 1);
    let query = world.plan("FOLLOW select n from t", false).await.unwrap();
    let mut rows = world.engine.execute(query.parts[0].clone()).await.unwrap().batches;
    assert!(rows.next().await.unwrap().is_ok());
    assert_eq!(
        world.engine.queries().cancel(&query.query_id, |owner| owner == "mallory"),
        CancelOutcome::Unknown
    );
    let error = world
        .call(&world.session, "call kinesis.system.cancel_query('none')")
        .await
        .unwrap_err();
    assert_eq!(error.category(), ErrorCategory::NotFound);
    assert_eq!(world.engine.cancel_query("anonymous", &query.query_id), CancelOutcome::Cancelled);
    assert!(rows.next().await.unwrap().is_err());
}

#[tokio::test]
async fn a_cancelled_insert_says_what_it_wrote() {
    let world = Arc::new(World::new(2));
    // one call is taken, and then no other
    let refused = std::iter::repeat_n(PutFate::Fail(SourceErrorKind::Throttled), 10_000);
    world.source.script_puts(std::iter::once(PutFate::Taken).chain(refused));
    let mut writing = tokio::task::JoinSet::new();
    let inserting = Arc::clone(&world);
    writing.spawn(async move {
        let insert = "/* watched */ insert into t (n) select value from generate_series(1, 1000)";
        inserting.call(&inserting.session, insert).await.map(|_| ())
    });
    let id = loop {
        tokio::task::yield_now().await;
        if world.source.put_calls() > 2
            && let Some(id) = world.ids_in("planning").await.pop()
        {
            break id;
        }
    };
    assert_eq!(world.engine.cancel_query("anonymous", &id), CancelOutcome::Cancelled);
    let ended = tokio::time::timeout(Duration::from_secs(60), writing.join_next()).await.unwrap();
    let error = ended.unwrap().unwrap().unwrap_err();
    assert_eq!(error.category(), ErrorCategory::Cancelled);
    assert!(error.to_string().contains("500 records were acknowledged before"), "{error}");
    assert_eq!(world.engine.written().now().records, 500);
    assert_eq!(world.ids_in("cancelled").await, [id]);
}

#[tokio::test]
async fn an_insert_whose_client_goes_away_is_counted() {
    let world = World::new(1);
    let refused = std::iter::repeat_n(PutFate::Fail(SourceErrorKind::Throttled), 10_000);
    world.source.script_puts(std::iter::once(PutFate::Taken).chain(refused));
    let insert = "/* watched */ insert into t (n) select value from generate_series(1, 500000)";
    let mut inserting = Box::pin(world.call(&world.session, insert));
    while world.source.put_calls() < 3 {
        tokio::select! {
            biased;
            ended = &mut inserting => panic!("{ended:?}"),
            () = tokio::task::yield_now() => {}
        }
    }
    drop(inserting);
    assert_eq!(world.engine.written().now().records, 500);
    assert_eq!(world.ids_in("cancelled").await.len(), 1);
}
