//! Why a statement is refused: a sentence for each kind.

use datafusion::sql::sqlparser::ast::Statement;

/// The sentence for a statement that neither queries nor sets an option of ours.
pub(super) fn reason(statement: &Statement) -> String {
    let text: &str = match statement {
        Statement::Update { .. } | Statement::Merge { .. } => {
            "records of a stream cannot be changed; rows of a scratch table are replaced by CREATE OR REPLACE TABLE t AS SELECT … FROM t"
        }
        Statement::CreateSchema { .. } | Statement::CreateDatabase { .. } => {
            "tables are made by CREATE EXTERNAL TABLE name (…) STORED AS KINESIS LOCATION 'kinesis://stream', or by a definition file in the catalog's directory; a schema is there once a table is in it"
        }
        Statement::AlterTable { .. } => "of ALTER there is ALTER TABLE … ADD COLUMN",
        Statement::Commit { .. } | Statement::Rollback { .. } | Statement::Savepoint { .. } | Statement::ReleaseSavepoint { .. } => {
            "of transactions there are BEGIN, COMMIT and ROLLBACK; there are no savepoints, and none is chained to another"
        }
        Statement::Copy { .. } | Statement::CopyIntoSnowflake { .. } | Statement::Unload { .. } => {
            "of COPY there is COPY (SELECT …) TO 's3://…'; files are read as tables: CREATE EXTERNAL TABLE name STORED AS PARQUET LOCATION 's3://…'"
        }
        Statement::Prepare { .. } | Statement::Execute { .. } | Statement::Deallocate { .. } => {
            "PREPARE and EXECUTE in SQL are not supported; use the client's prepared statements"
        }
        Statement::CreateFunction { .. } | Statement::DropFunction { .. } => "functions cannot be created",
        Statement::Use(_) => "USE is not supported; write SET kinesis.schema = 'name'",
        _ => "this kind of statement is not supported",
    };
    text.to_owned()
}
