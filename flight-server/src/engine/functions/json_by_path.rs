//! JSON functions under Presto's names. JSON is text (or bytes), so what Presto types as `json` is a varchar here.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion::common::{Result as DfResult, ScalarValue, exec_err, plan_err};
use datafusion::execution::{FunctionRegistry, SessionState};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use serde_json::value::RawValue;

use super::as_text::{is_bytes, is_json_union, is_text, text};
use super::json_path::{Step, compact, document, find, members, parse, scalar};

/// What a function does with its JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Does {
    Extract,
    ExtractScalar,
    Size,
    ArrayLength,
    ArrayGet,
    ArrayContains,
    IsScalar,
    Parse,
    Format,
    Valid,
}

const ALL: [Does; 10] = [
    Does::Extract,
    Does::ExtractScalar,
    Does::Size,
    Does::ArrayLength,
    Does::ArrayGet,
    Does::ArrayContains,
    Does::IsScalar,
    Does::Parse,
    Does::Format,
    Does::Valid,
];

pub(super) fn register(state: &mut SessionState) -> DfResult<()> {
    for does in ALL {
        state.register_udf(Arc::new(ScalarUDF::from(JsonFunction::new(does))))?;
    }
    Ok(())
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct JsonFunction {
    does: Does,
    signature: Signature,
}

impl JsonFunction {
    fn new(does: Does) -> Self {
        let arguments = match does {
            Does::Extract | Does::ExtractScalar | Does::Size | Does::ArrayGet | Does::ArrayContains => 2,
            Does::ArrayLength | Does::IsScalar | Does::Parse | Does::Format | Does::Valid => 1,
        };
        Self {
            does,
            signature: Signature::any(arguments, Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for JsonFunction {
    fn name(&self) -> &'static str {
        match self.does {
            Does::Extract => "json_extract",
            Does::ExtractScalar => "json_extract_scalar",
            Does::Size => "json_size",
            Does::ArrayLength => "json_array_length",
            Does::ArrayGet => "json_array_get",
            Does::ArrayContains => "json_array_contains",
            Does::IsScalar => "is_json_scalar",
            Does::Parse => "json_parse",
            Does::Format => "json_format",
            Does::Valid => "json_valid",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> DfResult<DataType> {
        let json =
            |data_type: &DataType| is_text(data_type) || is_bytes(data_type) || is_json_union(data_type) || *data_type == DataType::Null;
        let (first, second) = (arg_types.first(), arg_types.get(1));
        if !first.is_some_and(json) {
            return plan_err!("{}: the first argument is JSON as varchar or varbinary", self.name());
        }
        let fits = match self.does {
            Does::Extract | Does::ExtractScalar | Does::Size => second.is_some_and(|path| is_text(path) || path.is_null()),
            Does::ArrayGet => second.is_some_and(|index| index.is_integer() || index.is_null()),
            Does::ArrayContains => {
                second.is_some_and(|value| is_text(value) || value.is_numeric() || value.is_null() || *value == DataType::Boolean)
            }
            _ => true,
        };
        if !fits {
            let wanted = match self.does {
                Does::ArrayGet => "an integer",
                Does::ArrayContains => "a text, number or boolean",
                _ => "a JSON path such as '$.a.b[0]'",
            };
            return plan_err!("{}: the second argument is {wanted}", self.name());
        }
        Ok(match self.does {
            Does::Extract | Does::ExtractScalar | Does::ArrayGet | Does::Parse | Does::Format => DataType::Utf8,
            Does::Size | Does::ArrayLength => DataType::Int64,
            Does::ArrayContains | Does::IsScalar | Does::Valid => DataType::Boolean,
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let json = text(&arrays[0])?;
        let json: &StringArray = json.as_string();
        // What is no text has no text either, but is not NULL.
        let given = |row: usize| !arrays[0].data_type().is_null() && arrays[0].is_valid(row);
        let whole = |take: fn(&RawValue) -> Option<String>| -> ArrayRef {
            Arc::new(json.iter().map(|text| take(document(text?)?)).collect::<StringArray>())
        };
        let array: ArrayRef = match self.does {
            Does::Extract => at_paths(json, &arrays[1], |value| match value.get() {
                "null" => None,
                raw => Some(compact(raw)),
            })?,
            Does::ExtractScalar => at_paths(json, &arrays[1], scalar)?,
            Does::Size => {
                let sizes: Sizes = at_each_path(json, &arrays[1], |value| Some(size(value)))?;
                Arc::new(Int64Array::from(sizes))
            }
            Does::ArrayLength => {
                let lengths = json.iter().map(|text| Some(items(document(text?)?)?.len() as i64));
                Arc::new(lengths.collect::<Int64Array>())
            }
            Does::ArrayGet => {
                let indexes = cast(&arrays[1], &DataType::Int64)?;
                let indexes = indexes.as_primitive::<Int64Type>().iter();
                Arc::new(
                    json.iter()
                        .zip(indexes)
                        .map(|(text, index)| item(text?, index?))
                        .collect::<StringArray>(),
                )
            }
            Does::ArrayContains => Arc::new(contains(json, &arrays[1])?),
            Does::IsScalar => {
                let is_scalar = |raw: &RawValue| !raw.get().starts_with(['{', '[']);
                Arc::new(json.iter().map(|text| Some(is_scalar(document(text?)?))).collect::<BooleanArray>())
            }
            Does::Valid => {
                let valid = json.iter().enumerate();
                let valid = valid.map(|(row, text)| given(row).then(|| text.and_then(document).is_some()));
                Arc::new(valid.collect::<BooleanArray>())
            }
            Does::Format => whole(|raw| Some(compact(raw.get()))),
            Does::Parse => {
                let parsed = whole(|raw| Some(compact(raw.get())));
                if let Some(row) = (0..json.len()).find(|row| given(*row) && parsed.is_null(*row)) {
                    let shown: String = if json.is_null(row) {
                        "bytes that are not UTF-8".into()
                    } else {
                        json.value(row).chars().take(100).collect()
                    };
                    return exec_err!("json_parse: not valid JSON: {shown}; json_valid(x) tells beforehand");
                }
                parsed
            }
        };
        let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        Ok(match constant {
            true => ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?),
            false => ColumnarValue::Array(array),
        })
    }
}

type Sizes = Vec<Option<i64>>;

fn at_paths(json: &StringArray, paths: &ArrayRef, take: fn(&RawValue) -> Option<String>) -> DfResult<ArrayRef> {
    let found: Vec<Option<String>> = at_each_path(json, paths, take)?;
    Ok(Arc::new(StringArray::from(found)))
}

/// What each row's path finds. A path that stands in many rows is read once.
fn at_each_path<T>(json: &StringArray, paths: &ArrayRef, take: impl Fn(&RawValue) -> Option<T>) -> DfResult<Vec<Option<T>>> {
    let paths = text(paths)?;
    let paths: &StringArray = paths.as_string();
    let mut known: Option<(&str, Vec<Step>)> = None;
    let mut found = Vec::with_capacity(json.len());
    for (row, text) in json.iter().enumerate() {
        let (Some(text), true) = (text, paths.is_valid(row)) else {
            found.push(None);
            continue;
        };
        let path = paths.value(row);
        if known.as_ref().is_none_or(|(last, _)| *last != path) {
            known = match parse(path) {
                Ok(steps) => Some((path, steps)),
                Err(error) => return exec_err!("{error}"),
            };
        }
        let steps = known.as_ref().map_or(&[][..], |(_, steps)| steps);
        found.push(document(text).and_then(|document| take(find(document, steps)?)));
    }
    Ok(found)
}

fn size(value: &RawValue) -> i64 {
    members(value).map_or(0, |members| i64::try_from(members.len()).unwrap_or(i64::MAX))
}

fn items(value: &RawValue) -> Option<Vec<&RawValue>> {
    members(value).filter(|_| value.get().starts_with('['))
}

/// An item of an array; a negative index counts from its end.
fn item(text: &str, index: i64) -> Option<String> {
    let items = items(document(text)?)?;
    let place = usize::try_from(index.unsigned_abs()).ok()?;
    let found = if index < 0 {
        items.get(items.len().checked_sub(place)?)
    } else {
        items.get(place)
    }?;
    (found.get() != "null").then(|| compact(found.get()))
}

/// Whether an array holds a value; numbers are equal by value.
fn contains(json: &StringArray, values: &ArrayRef) -> DfResult<BooleanArray> {
    let each = |is: &dyn Fn(&RawValue, usize) -> bool| -> BooleanArray {
        let rows = json.iter().enumerate().map(|(row, text)| {
            let items = items(document(text?)?)?;
            values.is_valid(row).then(|| items.iter().any(|item| is(item, row)))
        });
        rows.collect()
    };
    Ok(match values.data_type() {
        DataType::Boolean => {
            let wanted = values.as_boolean();
            each(&|item, row| item.get() == if wanted.value(row) { "true" } else { "false" })
        }
        integer if integer.is_integer() => {
            let whole = cast(values, &DataType::Int64)?;
            let whole = whole.as_primitive::<Int64Type>();
            let is = |item: &RawValue, row: usize| match item.get().parse::<i64>() {
                Ok(number) => number == whole.value(row),
                Err(_) => item.get().parse::<f64>().is_ok_and(|number| number == whole.value(row) as f64),
            };
            each(&is)
        }
        number if number.is_numeric() => {
            let wanted = cast(values, &DataType::Float64)?;
            let wanted = wanted.as_primitive::<Float64Type>();
            each(&|item, row| item.get().parse::<f64>().is_ok_and(|number| number == wanted.value(row)))
        }
        _ => {
            let wanted = text(values)?;
            let wanted: &StringArray = wanted.as_string();
            each(&|item, row| item.get().starts_with('"') && scalar(item).as_deref() == Some(wanted.value(row)))
        }
    })
}
