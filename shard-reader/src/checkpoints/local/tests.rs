use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::*;
use crate::checkpoints::{CheckpointErrorKind, Ends, IterationStart};
use crate::conformance::checkpoints::{CheckpointService, run_checkpoints};

struct Files(tempfile::TempDir);

impl CheckpointService for Files {
    fn store(&self, keep: Duration, clock: WallClock) -> Arc<dyn CheckpointStore> {
        let file = format!("{}/checkpoints.redb", rand::random::<u64>());
        Arc::new(LocalCheckpoints::with(self.0.path().join(file), keep, clock))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn files_conform() {
    let files = Files(tempfile::tempdir().unwrap());
    run_checkpoints(&files).await.unwrap();
}

fn consumer() -> Consumer {
    Consumer {
        name: "killed".parse().unwrap(),
        stream: "arn:aws:kinesis:eu-central-1:123456789012:stream/s".into(),
    }
}

fn identity() -> StreamIdentity {
    StreamIdentity {
        arn: consumer().stream,
        created_ms: 1,
    }
}

fn base() -> Base {
    Base {
        ends: Ends::default(),
        stated: "latest".to_owned(),
        at_ms: 2,
    }
}

/// Commits so many iterations one after the other, and says so.
async fn commit(path: &Path, iterations: u64) {
    let store = LocalCheckpoints::open(path);
    let consumer = consumer();
    let mut head = store.set_base(&consumer, &identity(), None, &base(), "test").await.unwrap();
    for _ in 0..iterations {
        let iteration = Iteration {
            number: head.next,
            start: head.start,
            created_ms: 1,
            opened_ms: 3,
            starts: Default::default(),
            ends: Ends::default(),
        };
        let owner = OwnerToken(format!("owner of {}", head.next).into());
        store.open(&consumer, head.version, &iteration, &owner).await.unwrap();
        let number = iteration.number;
        let commit = Commit {
            consumer: consumer.clone(),
            number,
            owner,
        };
        head = store.commit(&[commit]).await.unwrap().remove(0);
        say(&format!("\ncommitted {number}\n"));
    }
}

fn say(line: &str) {
    use std::io::Write;
    let mut out = std::io::stdout();
    out.write_all(line.as_bytes()).and_then(|()| out.flush()).unwrap();
}

const FILE_VARIABLE: &str = "SHARD_READER_TEST_CHECKPOINT_FILE";

/// Three of them; without end in the process that `killed_after_an_acknowledged_commit_it_is_there` starts, and kills.
#[tokio::test]
async fn iterations_are_committed_one_after_the_other() {
    if let Some(path) = std::env::var_os(FILE_VARIABLE) {
        return commit(Path::new(&path), u64::MAX).await;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("checkpoints.redb");
    commit(&path, 3).await;
    let head = LocalCheckpoints::open(&path).head(&consumer()).await.unwrap().unwrap();
    assert_eq!(
        (head.next, head.start),
        (IterationNumber(3), IterationStart::After(IterationNumber(2)))
    );
}

#[tokio::test]
async fn killed_after_an_acknowledged_commit_it_is_there() {
    let directory = tempfile::tempdir().unwrap();
    for round in 0..4 {
        let path = directory.path().join(format!("{round}.redb"));
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "checkpoints::local::tests::iterations_are_committed_one_after_the_other",
                "--nocapture",
            ])
            .env(FILE_VARIABLE, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let acknowledged = lines
            .map_while(Result::ok)
            .filter_map(|line| line.strip_prefix("committed ")?.parse::<u64>().ok());
        let mut last = None;
        for number in acknowledged {
            last = Some(number);
            if number == 3 + round {
                // as kill -9 does
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        let last = IterationNumber(last.unwrap());
        assert!(last.0 >= 3 + round);
        let store = LocalCheckpoints::open(&path);
        let head = store.head(&consumer()).await.unwrap().unwrap();
        let (committed, by, _) = head.committed.clone().unwrap();
        assert!(committed >= last, "{committed} was found, {last} acknowledged");
        assert_eq!(&*by.0, format!("owner of {committed}"));
        assert_eq!(head.start, IterationStart::After(committed));
        let iterations = store.iterations(&consumer()).await.unwrap();
        let expected = head.open.as_ref().map_or(committed, |open| open.number);
        assert_eq!(iterations.last().unwrap().number, expected);
        assert_eq!(iterations.len() as u64, expected.0 + 1);
    }
}

#[tokio::test]
async fn a_file_belongs_to_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("checkpoints.redb");
    let first = LocalCheckpoints::open(&path);
    let second = LocalCheckpoints::open(&path);
    assert!(!path.exists(), "touched before it was needed");
    assert_eq!(first.head(&consumer()).await.unwrap(), None);
    let error = second.head(&consumer()).await.unwrap_err();
    assert_eq!(error.kind, CheckpointErrorKind::Unavailable);
    assert!(error.message.contains(path.to_str().unwrap()), "{error}");
    assert!(error.message.contains("server that holds it"), "{error}");
    drop(first);
    assert_eq!(second.head(&consumer()).await.unwrap(), None);
}

#[tokio::test]
async fn what_is_no_checkpoint_file_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notes.txt");
    std::fs::write(&path, "no database at all\n".repeat(500)).unwrap();
    let error = LocalCheckpoints::open(&path).head(&consumer()).await.unwrap_err();
    assert_eq!(error.kind, CheckpointErrorKind::Corrupt, "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "no database at all\n".repeat(500));

    let newer = directory.path().join("newer.redb");
    {
        let database = Database::create(&newer).unwrap();
        let transaction = database.begin_write().unwrap();
        let meta = redb::TableDefinition::<&str, u64>::new("meta");
        transaction.open_table(meta).unwrap().insert("format", 2).unwrap();
        transaction.commit().unwrap();
    }
    let error = LocalCheckpoints::open(&newer).head(&consumer()).await.unwrap_err();
    assert_eq!(error.kind, CheckpointErrorKind::Invalid);
    assert!(error.message.contains("version 2"), "{error}");

    let below_a_file = LocalCheckpoints::open(path.join("checkpoints.redb"))
        .head(&consumer())
        .await
        .unwrap_err();
    assert_eq!(below_a_file.kind, CheckpointErrorKind::Unavailable, "{below_a_file}");
}

#[tokio::test]
async fn a_damaged_item_is_corrupt_and_harms_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("checkpoints.redb");
    let store = LocalCheckpoints::open(&path);
    let head = store.set_base(&consumer(), &identity(), None, &base(), "test").await.unwrap();
    drop(store);
    {
        let database = Database::open(&path).unwrap();
        let transaction = database.begin_write().unwrap();
        let bytes = b"not what was written".as_slice();
        let key = consumer();
        transaction
            .open_table(BASES)
            .unwrap()
            .insert(key.numbered(IterationNumber::FIRST), bytes)
            .unwrap();
        transaction.commit().unwrap();
    }
    let store = LocalCheckpoints::open(&path);
    let error = store.base(&consumer(), IterationNumber::FIRST).await.unwrap_err();
    assert_eq!(error.kind, CheckpointErrorKind::Corrupt);
    assert_eq!(store.head(&consumer()).await.unwrap(), Some(head));
}

/// A file as any version has left it: made here by the database alone, with its tables as they are called, and read by the store.
#[tokio::test]
async fn files_of_all_versions_are_read() {
    use redb::{TableDefinition, TableHandle};

    use crate::checkpoints::formats;
    const META: TableDefinition<'static, &'static str, u64> = TableDefinition::new("meta");
    const HEADS: TableDefinition<'static, (&'static str, &'static str), &'static [u8]> = TableDefinition::new("heads");
    const ITERATIONS: TableDefinition<'static, (&'static str, &'static str, u64), &'static [u8]> = TableDefinition::new("iterations");
    let directory = tempfile::tempdir().unwrap();
    let made = LocalCheckpoints::open(directory.path().join("made.redb"));
    made.consumers().await.unwrap();
    let transaction = made.0.database().unwrap().begin_read().unwrap();
    let mut tables: Vec<String> = transaction.list_tables().unwrap().map(|table| table.name().to_owned()).collect();
    tables.sort_unstable();
    assert_eq!(tables, ["bases", "heads", "iterations", "meta", "runs", "superseded"]);
    drop(transaction);
    drop(made);
    // the tables that the file has besides are made with it
    let path = directory.path().join("made.redb");
    let consumer = formats::consumer();
    let write = |format: u64| {
        let database = Database::create(&path).unwrap();
        let transaction = database.begin_write().unwrap();
        let (name, stream) = (consumer.name.as_str(), &*consumer.stream);
        transaction.open_table(META).unwrap().insert("format", format).unwrap();
        let mut heads = transaction.open_table(HEADS).unwrap();
        heads.insert((name, stream), formats::HEAD.as_bytes()).unwrap();
        let mut iterations = transaction.open_table(ITERATIONS).unwrap();
        iterations
            .insert((name, stream, 4), formats::bytes(formats::PACKED).as_slice())
            .unwrap();
        drop((heads, iterations));
        transaction.commit().unwrap();
    };
    write(1);
    let store = LocalCheckpoints::open(&path);
    assert_eq!(store.head(&consumer).await.unwrap(), Some(formats::head().head));
    assert_eq!(store.iterations(&consumer).await.unwrap(), [formats::iteration()]);
    drop(store);
    write(2);
    let refused = LocalCheckpoints::open(&path).head(&consumer).await.unwrap_err();
    assert!(refused.to_string().contains("layout version 2"), "{refused}");
}
