//! How records get into streams: one seam to PutRecords, and one writer on it.
//!
//! **What is promised.** Each record that is counted as acknowledged is in the stream, at least once: a call whose reply is lost is made again, and then its
//! records may be there twice. Of records with one partition key none overtakes another of an earlier call; within one call PutRecords itself may refuse
//! the first and take the second. A failure says how many records were acknowledged before it.

mod kinesis;
mod lane;
mod memory;
mod packer;
mod sink;
#[cfg(test)]
mod tests;
mod writer;

pub use packer::{Packed, Packer};
pub use sink::{
    Acknowledgement, EntryOutcome, MOST_BYTES_A_CALL, MOST_BYTES_A_RECORD, MOST_RECORDS_A_CALL, OutgoingRecord, Receipts, RecordSink,
};
pub use writer::{WriteError, WriteTotals, Writer, WriterOptions};
