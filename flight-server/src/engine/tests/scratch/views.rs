//! Views, and names: what stands for what, and what is said of it.

use super::*;

#[tokio::test(start_paused = true)]
async fn names_stand_for_one_thing() {
    let world = World::with_rows(1, 2);
    world
        .fails("create table t (a bigint)", ErrorCategory::AlreadyExists, "kinesis.default.t")
        .await;
    world
        .fails(
            "create view scratch.t as select 1",
            ErrorCategory::AlreadyExists,
            "kinesis.default.t",
        )
        .await;
    world
        .fails(
            "create table default.u (a bigint)",
            ErrorCategory::NotSupported,
            "STORED AS KINESIS",
        )
        .await;
    world
        .fails("create table default.u (a bigint)", ErrorCategory::NotSupported, "scratch.u")
        .await;
    world.fails("truncate t", ErrorCategory::NotSupported, "cannot be deleted").await;
    world.fails("delete from t", ErrorCategory::NotSupported, "cannot be deleted").await;
    world.fails("drop view t", ErrorCategory::NotFound, "`t`").await;
    world.all(&["create table u (a bigint)", "insert into u values (1)"]).await;
    world
        .fails("create table u (a bigint)", ErrorCategory::AlreadyExists, "scratch.u")
        .await;
    world
        .fails(
            "create or replace view u as select 1",
            ErrorCategory::AlreadyExists,
            "table `kinesis.scratch.u`",
        )
        .await;
    world.fails("drop view u", ErrorCategory::InvalidArgument, "is a table").await;
    world
        .fails(
            "create external table scratch.w (n bigint) stored as kinesis location 'kinesis://s'",
            ErrorCategory::InvalidArgument,
            "schema `scratch`",
        )
        .await;
    // a definition that comes later does not take the table's place unseen, nor the table its place
    world
        .all(&[
            "set kinesis.schema = 'web'",
            "create table later (a bigint)",
            "insert into later values (5)",
        ])
        .await;
    let planned = world.plan("select a from later", false).await.unwrap();
    world
        .all(&["create external table later (n bigint) stored as kinesis location 'kinesis://s'"])
        .await;
    for sql in [
        "select * from later",
        "insert into later values (1)",
        "describe later",
        "drop table later",
    ] {
        world.fails(sql, ErrorCategory::InvalidArgument, "is both").await;
    }
    assert_eq!(world.read(&planned).await.unwrap(), ["5"]);
    assert_eq!(world.rows("select * from scratch.later").await.unwrap(), ["5"]);
    assert_eq!(world.rows("select n from web.later").await.unwrap(), ["0", "1"]);
    world.all(&["drop table scratch.later"]).await;
    assert_eq!(world.rows("select n from later").await.unwrap(), ["0", "1"]);
}

#[tokio::test(start_paused = true)]
async fn views_are_queries_planned_where_they_are_named() {
    let world = World::with_rows(3, 30);
    world
        .all(&[
            "create view w1 as select n, word, _shard_id as shard from t where word = 'w1'",
            "create view counted (shard, records) as select shard, count(*) from w1 group by shard",
            "create view all_of_it as select * from t",
        ])
        .await;
    assert_eq!(world.rows("select sum(records) from counted").await.unwrap(), ["6"]);
    assert_eq!(world.rows("select * from all_of_it where n = 3").await.unwrap(), ["3|w3"]);
    assert_eq!(
        world
            .rows("select x.n, w1.word from w1 join all_of_it x on x.n = w1.n where x.n < 10")
            .await
            .unwrap(),
        ["1|w1", "6|w1"]
    );
    assert_eq!(world.rows("with w1 as (select 1 as one) select * from w1").await.unwrap(), ["1"]);
    // its own snapshot, and an endpoint a shard
    let shard = world.source.shard_ids()[0].clone();
    let query = world.plan("select n from w1", true).await.unwrap();
    assert_eq!(query.parts.len(), 3);
    world.put(&shard, "{\"n\":100,\"word\":\"w1\"}");
    assert_eq!(world.read(&query).await.unwrap().len(), 6);
    assert_eq!(world.rows("select count(*) from w1").await.unwrap(), ["7"]);
    world
        .fails(
            "create or replace view w1 as select * from counted",
            ErrorCategory::InvalidArgument,
            "circle",
        )
        .await;
    world
        .fails("create view broken as select nope from t", ErrorCategory::InvalidArgument, "nope")
        .await;
    world
        .fails(
            "/*+ start='-1h' */ create view v as select 1 as a",
            ErrorCategory::InvalidArgument,
            "where the view is used",
        )
        .await;
    world
        .fails("create view v as select 1 as a, 2 as a", ErrorCategory::InvalidArgument, "a")
        .await;
    world
        .fails("insert into w1 values (1)", ErrorCategory::InvalidArgument, "is a view")
        .await;
    world.all(&["drop view w1"]).await;
    world.fails("select * from counted", ErrorCategory::NotFound, "w1").await;
}

#[tokio::test(start_paused = true)]
async fn a_view_reads_with_the_rights_of_who_uses_it() {
    let scratch = ScratchConfig {
        keep: ScratchKeep::Principal,
        ..ScratchConfig::default()
    };
    let world = World::with_rows(1, 3).with_scratch(scratch);
    world
        .all(&["create view v as select n from t", "create table s as select n from t"])
        .await;
    let ticket = world.plan("select n from v", false).await.unwrap();
    let rule = AccessRule::new("*", [Right::Read]).unwrap().on_tables(["other"]).unwrap();
    let config = EngineConfig {
        access: Arc::new(Access::new(vec![rule])),
        ..world.engine.config().clone()
    };
    let strict = world.reconfigured(config);
    // no right is needed for what one makes oneself
    strict
        .all(&[
            "create table mine as select 1 as a",
            "insert into mine values (2)",
            "drop table if exists t",
        ])
        .await;
    assert_eq!(strict.rows("select a from mine").await.unwrap(), ["1", "2"]);
    strict
        .fails("create view v as select n from t", ErrorCategory::PermissionDenied, "t")
        .await;
    strict
        .fails("create table s as select n from t", ErrorCategory::PermissionDenied, "t")
        .await;
    let error = strict.read(&ticket).await.unwrap_err();
    assert_eq!(error.category(), ErrorCategory::PermissionDenied, "{error}");
    assert_eq!(
        strict
            .rows("select count(*) from information_schema.tables where table_name = 's'")
            .await
            .unwrap(),
        ["0"]
    );
}

#[tokio::test(start_paused = true)]
async fn tables_and_views_are_described() {
    let world = World::new(1);
    world
        .all(&[
            "create table s (a bigint not null, \"B c\" varchar, d decimal(10,2), e timestamp(3), f bytea, g date)",
            "create view v (x) as select a /* with a comment */ from s;",
        ])
        .await;
    let shown = |sql: &'static str| {
        let world = &world;
        async move {
            let request = StatementRequest::new(sql);
            match world.engine.plan(&world.session, request).await.unwrap() {
                Planned::Done(done) => texts(&done.batches),
                Planned::Query(_) => panic!("{sql} is a query"),
            }
        }
    };
    let create = "CREATE TABLE kinesis.scratch.s (\n  a bigint NOT NULL,\n  \"B c\" varchar,\n  d decimal(10,2),\n  e timestamp(3),\n  f bytea,\n  g date\n)";
    assert_eq!(shown("show create table s").await, [create]);
    assert_eq!(
        shown("show create view scratch.v").await,
        ["CREATE VIEW kinesis.scratch.v (x) AS select a /* with a comment */ from s"]
    );
    assert_eq!(shown("describe v").await, ["x|bigint|YES|NULL"]);
    assert_eq!(shown("describe s").await[0], "a|bigint|NO|NULL");
    // what is shown makes the table again
    world.all(&["drop table s", create]).await;
    assert_eq!(shown("show create table s").await, [create]);
    assert_eq!(
        world
            .rows("select table_name, column_name, data_type, is_nullable from information_schema.columns where table_schema = 'scratch' and column_name in ('a', 'x')")
            .await
            .unwrap(),
        ["s|a|Int64|NO", "v|x|Int64|YES"]
    );
    let tables = world.rows("show tables").await.unwrap();
    assert!(tables.contains(&"kinesis|scratch|s|LOCAL TEMPORARY".to_owned()), "{tables:?}");
}
