//! NumPy's file format: floats, integers and booleans, of one or more dimensions, in C or Fortran order.

use std::io::{Read, Write};

use anyhow::{bail, ensure};
use npyz::{DType, NpyFile, Order, TypeChar, WriterBuilder as _};

use super::{Matrix, Values};

/// Reads an array: the first dimension is the rows, all others together are the columns.
pub(crate) fn read(reader: impl Read) -> anyhow::Result<Matrix> {
    let file = NpyFile::new(reader)?;
    let DType::Plain(kind) = file.dtype() else { bail!("a structured array, need plain numbers") };
    let shape: Vec<usize> = file.shape().iter().map(|&n| usize::try_from(n)).collect::<Result<_, _>>()?;
    ensure!(!shape.is_empty(), "an array without dimensions, need rows");
    let values = shape.iter().try_fold(1_usize, |product, &n| product.checked_mul(n));
    ensure!(values.is_some(), "an array of {shape:?}, more values than can be counted");
    // Without rows the product is zero whatever the columns are; such an array is refused by who reads.
    let columns = shape[1..].iter().try_fold(1_usize, |product, &n| product.checked_mul(n)).unwrap_or(0);
    let fortran = file.order() == Order::Fortran && shape.len() > 1;
    ensure!(!fortran || shape.len() == 2, "a Fortran-ordered array of {} dimensions", shape.len());
    let values = match (kind.type_char(), kind.size_field()) {
        (TypeChar::Float, 4) => Values::Single(in_c_order(file.into_vec::<f32>()?, shape[0], fortran)),
        (TypeChar::Float, 8) => double(file.into_vec::<f64>()?, shape[0], fortran),
        (TypeChar::Int, 1) => double(file.into_vec::<i8>()?, shape[0], fortran),
        (TypeChar::Int, 2) => double(file.into_vec::<i16>()?, shape[0], fortran),
        (TypeChar::Int, 4) => double(file.into_vec::<i32>()?, shape[0], fortran),
        (TypeChar::Uint, 1) => double(file.into_vec::<u8>()?, shape[0], fortran),
        (TypeChar::Uint, 2) => double(file.into_vec::<u16>()?, shape[0], fortran),
        (TypeChar::Uint, 4) => double(file.into_vec::<u32>()?, shape[0], fortran),
        // Beyond 2^53 a 64-bit integer is not exactly a float; the trainers round likewise.
        (TypeChar::Int, 8) => {
            rounded(file.into_vec::<i64>()?.into_iter().map(|x| x as f64), shape[0], fortran)
        }
        (TypeChar::Uint, 8) => {
            rounded(file.into_vec::<u64>()?.into_iter().map(|x| x as f64), shape[0], fortran)
        }
        (TypeChar::Bool, _) => {
            rounded(file.into_vec::<bool>()?.into_iter().map(|x| f64::from(u8::from(x))), shape[0], fortran)
        }
        _ => bail!("an array of {kind}, need floats, integers or booleans"),
    };
    Ok(Matrix { values, columns, names: None })
}

fn double<T: Into<f64>>(values: Vec<T>, rows: usize, fortran: bool) -> Values {
    rounded(values.into_iter().map(Into::into), rows, fortran)
}

fn rounded(values: impl Iterator<Item = f64>, rows: usize, fortran: bool) -> Values {
    Values::Double(in_c_order(values.collect(), rows, fortran))
}

fn in_c_order<T: Copy>(values: Vec<T>, rows: usize, fortran: bool) -> Vec<T> {
    if !fortran || rows == 0 {
        return values;
    }
    let columns = values.len() / rows;
    (0..values.len()).map(|i| values[i % columns * rows + i / columns]).collect()
}

/// Writes a table, or a single column as an array of one dimension.
pub(crate) fn write(out: &mut impl Write, matrix: &Matrix) -> anyhow::Result<()> {
    let shape = [matrix.rows() as u64, matrix.columns as u64];
    let shape = if matrix.columns == 1 { &shape[..1] } else { &shape[..] };
    match &matrix.values {
        Values::Single(values) => {
            let mut writer = npyz::WriteOptions::new().default_dtype().shape(shape).writer(out).begin_nd()?;
            writer.extend(values.iter().copied())?;
            writer.finish()?;
        }
        Values::Double(values) => {
            let mut writer = npyz::WriteOptions::new().default_dtype().shape(shape).writer(out).begin_nd()?;
            writer.extend(values.iter().copied())?;
            writer.finish()?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fortran_order_is_turned() {
        assert_eq!(in_c_order(vec![1, 4, 2, 5, 3, 6], 2, true), [1, 2, 3, 4, 5, 6]);
        assert_eq!(in_c_order(vec![1, 2, 3], 3, false), [1, 2, 3]);
    }

    #[test]
    fn a_header_that_promises_more_than_there_is_is_an_error() {
        let header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (4000000000, 1000000000), }\n";
        let mut file = b"\x93NUMPY\x01\x00".to_vec();
        file.extend((header.len() as u16).to_le_bytes());
        file.extend(header);
        file.extend([0; 64]);
        read(file.as_slice()).unwrap_err();
    }
}
