//! Parquet: columns of numbers or booleans.

use std::fs::File;

use anyhow::{Context as _, bail, ensure};
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::Field;

use super::{Matrix, Values};
use crate::output::{cut, escape};

/// Most values that are read.
const MAX_VALUES: usize = 1 << 31;

/// Reads every column of every row; a null is missing.
pub(crate) fn read(file: File) -> anyhow::Result<Matrix> {
    let reader = SerializedFileReader::new(file)?;
    let metadata = reader.metadata().file_metadata();
    let names: Vec<String> =
        metadata.schema_descr().root_schema().get_fields().iter().map(|f| f.name().to_owned()).collect();
    let expected = usize::try_from(metadata.num_rows()).unwrap_or(usize::MAX).saturating_mul(names.len());
    ensure!(expected <= MAX_VALUES, "{expected} values, more than the limit {MAX_VALUES}");
    let mut values = Vec::new();
    let mut single = true;
    for (i, row) in reader.get_row_iter(None)?.enumerate() {
        for (name, field) in row?.get_column_iter() {
            single &= matches!(field, Field::Float(_) | Field::Null);
            values.push(number(field).with_context(|| format!("row {i}, column {}", escape(name)))?);
        }
    }
    let values = match single {
        // Exact: every value was an `f32`.
        true => Values::Single(values.into_iter().map(|x| x as f32).collect()),
        false => Values::Double(values),
    };
    Ok(Matrix { values, columns: names.len(), names: Some(names) })
}

fn number(field: &Field) -> anyhow::Result<f64> {
    Ok(match *field {
        Field::Null => f64::NAN,
        Field::Bool(flag) => f64::from(u8::from(flag)),
        Field::Byte(x) => f64::from(x),
        Field::Short(x) => f64::from(x),
        Field::Int(x) => f64::from(x),
        Field::Long(x) => x as f64,
        Field::UByte(x) => f64::from(x),
        Field::UShort(x) => f64::from(x),
        Field::UInt(x) => f64::from(x),
        Field::ULong(x) => x as f64,
        Field::Float16(x) => x.to_f64(),
        Field::Float(x) => f64::from(x),
        Field::Double(x) => x,
        ref other => bail!("{} is not a number", escape(&cut(&other.to_string(), 40))),
    })
}
