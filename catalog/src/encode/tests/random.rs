//! Random arrays of every type.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Decimal256Array, Float32Array, Float64Array, Int8Array, Int16Array,
    Int32Array, Int64Array, ListArray, MapArray, PrimitiveArray, StringArray, StructArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int64Type, TimeUnit, i256};

use crate::{ColumnType, FieldFormat};

/// SplitMix64.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn signed(&mut self) -> i64 {
        let shift = self.below(64);
        (self.next() as i64) >> shift
    }

    fn validity(&mut self, rows: usize, nulls: bool) -> Option<NullBuffer> {
        nulls.then(|| (0..rows).map(|_| self.below(4) != 0).collect())
    }

    fn text(&mut self) -> String {
        const PARTS: [&str; 14] = [
            "a", "b", "\"", ",", "\\", "\n", "é", "日本", "#", "|", " ", "\u{feff}", "\u{1}", "1",
        ];
        (0..self.below(6)).map(|_| PARTS[self.below(14) as usize]).collect()
    }

    fn double(&mut self) -> f64 {
        let value = f64::from_bits(self.next());
        if value.is_finite() { value } else { self.signed() as f64 / 8.0 }
    }

    pub(super) fn array(&mut self, of: &ColumnType, format: Option<&FieldFormat>, rows: usize, nulls: bool) -> ArrayRef {
        let valid = self.validity(rows, nulls);
        let is = |row: usize| valid.as_ref().is_none_or(|valid| valid.is_valid(row));
        match of {
            ColumnType::Boolean => Arc::new((0..rows).map(|row| is(row).then(|| self.below(2) == 0)).collect::<BooleanArray>()),
            ColumnType::TinyInt => Arc::new((0..rows).map(|row| is(row).then(|| self.signed() as i8)).collect::<Int8Array>()),
            ColumnType::SmallInt => Arc::new((0..rows).map(|row| is(row).then(|| self.signed() as i16)).collect::<Int16Array>()),
            ColumnType::Integer => Arc::new((0..rows).map(|row| is(row).then(|| self.signed() as i32)).collect::<Int32Array>()),
            ColumnType::BigInt if format.is_some() => {
                let seconds = |random: &mut Self| (random.below(4_000_000_000) as i64 - 1_000_000_000) * 1000;
                Arc::new((0..rows).map(|row| is(row).then(|| seconds(self))).collect::<Int64Array>())
            }
            ColumnType::BigInt => Arc::new((0..rows).map(|row| is(row).then(|| self.signed())).collect::<Int64Array>()),
            ColumnType::Real => Arc::new(
                (0..rows)
                    .map(|row| {
                        is(row)
                            .then(|| f32::from_bits(self.next() as u32))
                            .map(|value| if value.is_finite() { value } else { 0.5 })
                    })
                    .collect::<Float32Array>(),
            ),
            ColumnType::Double => Arc::new((0..rows).map(|row| is(row).then(|| self.double())).collect::<Float64Array>()),
            ColumnType::Decimal(precision, scale) if *precision <= 38 => {
                let most = 10_i128.pow(u32::from(*precision).min(38));
                let values = (0..rows).map(|row| is(row).then(|| (i128::from(self.signed()) * i128::from(self.next() as u32)) % most));
                Arc::new(
                    values
                        .collect::<Decimal128Array>()
                        .with_precision_and_scale(*precision, *scale as i8)
                        .unwrap(),
                )
            }
            ColumnType::Decimal(precision, scale) => {
                let values = (0..rows).map(|row| is(row).then(|| i256::from_i128(i128::from(self.signed()) * i128::from(self.next()))));
                Arc::new(
                    values
                        .collect::<Decimal256Array>()
                        .with_precision_and_scale(*precision, *scale as i8)
                        .unwrap(),
                )
            }
            ColumnType::Varchar => Arc::new((0..rows).map(|row| is(row).then(|| self.text())).collect::<StringArray>()),
            ColumnType::Uuid => Arc::new(
                (0..rows)
                    .map(|row| is(row).then(|| uuid::Uuid::from_u64_pair(self.next(), self.next()).to_string()))
                    .collect::<StringArray>(),
            ),
            ColumnType::Json => {
                const JSON: [&str; 6] = ["{\"a\":[1,null,\"x\"]}", "1.50", "\"t,\\\"\"", "[]", "true", "{}"];
                Arc::new(
                    (0..rows)
                        .map(|row| is(row).then(|| JSON[self.below(6) as usize]))
                        .collect::<StringArray>(),
                )
            }
            ColumnType::Varbinary => {
                let any = matches!(format, Some(FieldFormat::Base64 | FieldFormat::Hex));
                let value = |random: &mut Self| match any {
                    // an empty text of an encoding is NULL in CSV
                    true => (0..=random.below(5)).map(|_| random.next() as u8).collect(),
                    false => random.text().into_bytes(),
                };
                Arc::new((0..rows).map(|row| is(row).then(|| value(self))).collect::<BinaryArray>())
            }
            ColumnType::Date => Arc::new(
                (0..rows)
                    .map(|row| is(row).then(|| self.below(60_000) as i32 - 20_000))
                    .collect::<Date32Array>(),
            ),
            ColumnType::Time(unit) => {
                let per_day = 86_400 * per_second(*unit) as u64;
                let values: Int64Array = (0..rows).map(|row| is(row).then(|| self.below(per_day) as i64)).collect();
                let values: ArrayRef = match unit {
                    TimeUnit::Second | TimeUnit::Millisecond => cast(&values, &DataType::Int32).unwrap(),
                    _ => Arc::new(values),
                };
                cast(&values, &of.data_type()).unwrap()
            }
            ColumnType::Timestamp(unit) | ColumnType::TimestampWithZone(unit) => {
                let span = 4_000_000_000 * per_second(*unit);
                let values: PrimitiveArray<Int64Type> = (0..rows)
                    .map(|row| is(row).then(|| (self.next() as i64).rem_euclid(span) - span / 4))
                    .collect();
                cast(&values, &of.data_type()).unwrap()
            }
            ColumnType::Array(element) => {
                let lengths: Vec<usize> = (0..rows).map(|row| if is(row) { self.below(4) as usize } else { 0 }).collect();
                let items = self.array(element, None, lengths.iter().sum(), nulls);
                let field = Arc::new(Field::new_list_field(element.data_type(), true));
                Arc::new(ListArray::new(field, OffsetBuffer::from_lengths(lengths), items, valid))
            }
            ColumnType::Map(key, value) => {
                let lengths: Vec<usize> = (0..rows).map(|row| if is(row) { self.below(4) as usize } else { 0 }).collect();
                let entries: usize = lengths.iter().sum();
                // keys that differ
                let numbers = Int64Array::from_iter_values(0..entries as i64);
                let keys = cast(&numbers, &key.data_type()).unwrap();
                let values = self.array(value, None, entries, nulls);
                let DataType::Map(field, _) = of.data_type() else { panic!("a map") };
                let DataType::Struct(fields) = field.data_type().clone() else {
                    panic!("entries")
                };
                let entries = StructArray::new(fields, vec![keys, values], None);
                Arc::new(MapArray::new(field, OffsetBuffer::from_lengths(lengths), entries, valid, false))
            }
            ColumnType::Row(fields) => {
                let DataType::Struct(arrow_fields) = of.data_type() else {
                    panic!("a row")
                };
                // what is within a NULL is NULL
                let columns: Vec<ArrayRef> = fields
                    .iter()
                    .map(|(_, of)| {
                        let values = self.array(of, None, rows, nulls);
                        match &valid {
                            Some(valid) => {
                                let gone = BooleanArray::new(!valid.inner(), None);
                                arrow::compute::nullif(values.as_ref(), &gone).unwrap()
                            }
                            None => values,
                        }
                    })
                    .collect();
                Arc::new(StructArray::new(arrow_fields, columns, valid))
            }
        }
    }
}

fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}
