//! Scans as bytes. Operators and functions of the query engine have bytes of their own.

use std::io::Cursor;
use std::sync::Arc;

use datafusion::arrow::datatypes::Schema;
use datafusion::common::{Result as DfResult, internal_datafusion_err, internal_err};
use datafusion::execution::TaskContext;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion_proto::physical_plan::{PhysicalExtensionCodec, PhysicalPlanDecodeContext, PhysicalProtoConverterExtension};
use datafusion_proto::protobuf::PhysicalExprNode;
use prost::Message;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::engine::{ScanOrder, ShardScanExec, ShippedScanExec, Workplace};

/// Reads and writes scans.
#[derive(Debug)]
pub(super) struct ScanCodec {
    /// What scans that come in read with; none come in where plans are made.
    workplace: Option<Arc<Workplace>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct EncodedScan {
    order: ScanOrder,
    filters: Vec<ByteBuf>,
    late: Vec<ByteBuf>,
}

impl ScanCodec {
    /// Of a node that sends scans.
    pub(super) fn sending() -> Self {
        Self { workplace: None }
    }

    /// Of a node that runs scans.
    pub(super) fn running(workplace: Arc<Workplace>) -> Self {
        Self {
            workplace: Some(workplace),
        }
    }
}

impl PhysicalExtensionCodec for ScanCodec {
    fn try_decode(
        &self,
        buf: &[u8],
        _inputs: &[Arc<dyn ExecutionPlan>],
        ctx: &TaskContext,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let Some(workplace) = &self.workplace else {
            return internal_err!("a scan came to where plans are made");
        };
        let encoded: EncodedScan =
            ciborium::from_reader(Cursor::new(buf)).map_err(|error| internal_datafusion_err!("a scan that cannot be read: {error}"))?;
        let context = PhysicalPlanDecodeContext::new(ctx, self);
        let decoded = |expr: &ByteBuf, schema: &Schema| -> DfResult<Arc<dyn PhysicalExpr>> {
            let node = PhysicalExprNode::decode(expr.as_slice())
                .map_err(|error| internal_datafusion_err!("a filter that cannot be read: {error}"))?;
            converter.proto_to_physical_expr(&node, schema, &context)
        };
        let all = |exprs: &[ByteBuf], schema: &Schema| exprs.iter().map(|expr| decoded(expr, schema)).collect::<DfResult<Vec<_>>>();
        let filters = all(&encoded.filters, encoded.order.table_schema()?.as_ref())?;
        let late = all(&encoded.late, encoded.order.schema()?.as_ref())?;
        Ok(Arc::new(ShippedScanExec::try_new(
            encoded.order,
            filters,
            late,
            Arc::clone(workplace),
        )?))
    }

    fn try_encode(&self, node: Arc<dyn ExecutionPlan>, buf: &mut Vec<u8>, converter: &dyn PhysicalProtoConverterExtension) -> DfResult<()> {
        let Some(scan) = node.downcast_ref::<ShardScanExec>() else {
            return internal_err!("{} cannot be sent to another node", node.name());
        };
        let encoded = |expr: &Arc<dyn PhysicalExpr>| -> DfResult<ByteBuf> {
            Ok(ByteBuf::from(converter.physical_expr_to_proto(expr, self)?.encode_to_vec()))
        };
        let all = |exprs: &[Arc<dyn PhysicalExpr>]| exprs.iter().map(encoded).collect::<DfResult<Vec<_>>>();
        let encoded = EncodedScan {
            order: scan.order()?,
            filters: all(scan.filters())?,
            late: all(scan.late_filters())?,
        };
        ciborium::into_writer(&encoded, buf).map_err(|error| internal_datafusion_err!("a scan that cannot be sent: {error}"))
    }
}
