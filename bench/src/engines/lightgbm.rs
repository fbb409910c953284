//! LightGBM's C interface, from the wheel: the prepared call for one row, and the call for a matrix; one thread.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use anyhow::{Context as _, Result, bail};
use libloading::{Library, Symbol};

use super::{Answers, Engine, Libraries, Task};
use crate::case::Case;

type Handle = *mut c_void;
type PredictRow = unsafe extern "C" fn(Handle, *const c_void, *mut i64, *mut f64) -> c_int;
type PredictMatrix = unsafe extern "C" fn(
    Handle,
    *const c_void,
    c_int,
    i32,
    i32,
    c_int,
    c_int,
    c_int,
    c_int,
    *const c_char,
    *mut i64,
    *mut f64,
) -> c_int;
type PrepareRow =
    unsafe extern "C" fn(Handle, c_int, c_int, c_int, c_int, i32, *const c_char, *mut Handle) -> c_int;

const FLOAT32: c_int = 0;
const RAW_SCORE: c_int = 1;
const ROW_MAJOR: c_int = 1;
const ALL_TREES: c_int = -1;
const PARAMETERS: &CStr = c"num_threads=1";

/// The functions that are used. A symbol of `LightGBM/c_api.h` has the type that is given here.
struct Api {
    library: Library,
}

impl Api {
    /// The library stays open until the process ends: OpenMP's threads do not survive its closing.
    fn open(libraries: &Libraries) -> Result<&'static Self> {
        static API: OnceLock<Api> = OnceLock::new();
        if let Some(api) = API.get() {
            return Ok(api);
        }
        let path = libraries.packages.join("lightgbm/lib/lib_lightgbm.so");
        // SAFETY: the library's initialisers have no preconditions.
        let library = unsafe { Library::new(&path) }.with_context(|| path.display().to_string())?;
        Ok(API.get_or_init(|| Self { library }))
    }

    fn symbol<T>(&self, name: &str) -> Result<Symbol<'_, T>> {
        // SAFETY: every caller gives the type that LightGBM/c_api.h declares for the name.
        Ok(unsafe { self.library.get(name.as_bytes()) }?)
    }

    fn check(&self, status: c_int) -> Result<()> {
        if status == 0 {
            return Ok(());
        }
        let last_error: Symbol<'_, unsafe extern "C" fn() -> *const c_char> =
            self.symbol("LGBM_GetLastError")?;
        // SAFETY: it takes nothing and gives a string that lives until this thread's next call.
        let message = unsafe { CStr::from_ptr(last_error()) }.to_string_lossy().into_owned();
        bail!("lightgbm: {message}")
    }
}

/// A loaded model, and the call for one row prepared.
struct Booster {
    api: &'static Api,
    handle: Handle,
    row: Handle,
    predict_row: PredictRow,
    predict_matrix: PredictMatrix,
}

impl Booster {
    fn load(api: &'static Api, path: &Path, n_features: usize) -> Result<Self> {
        let load: Symbol<'_, unsafe extern "C" fn(*const c_char, *mut c_int, *mut Handle) -> c_int> =
            api.symbol("LGBM_BoosterCreateFromModelfile")?;
        let prepare: Symbol<'_, PrepareRow> = api.symbol("LGBM_BoosterPredictForMatSingleRowFastInit")?;
        let path = CString::new(path.as_os_str().as_encoded_bytes())?;
        let mut booster = Self {
            api,
            handle: std::ptr::null_mut(),
            row: std::ptr::null_mut(),
            predict_row: *api.symbol("LGBM_BoosterPredictForMatSingleRowFast")?,
            predict_matrix: *api.symbol("LGBM_BoosterPredictForMat")?,
        };
        let mut iterations = 0;
        // SAFETY: the path ends in a zero, and the last two are valid to write to.
        api.check(unsafe { load(path.as_ptr(), &mut iterations, &mut booster.handle) })?;
        let (columns, parameters) = (i32::try_from(n_features)?, PARAMETERS.as_ptr());
        // SAFETY: the handle is live, and the last argument is valid to write to.
        api.check(unsafe {
            prepare(booster.handle, RAW_SCORE, 0, ALL_TREES, FLOAT32, columns, parameters, &mut booster.row)
        })?;
        Ok(booster)
    }

    fn row(&self, row: &[f32], out: &mut f64) -> Result<()> {
        let mut count = 0;
        // SAFETY: `row` has as many values as the prepared call was told; one value is written.
        self.api.check(unsafe { (self.predict_row)(self.row, row.as_ptr().cast(), &mut count, out) })
    }

    fn matrix(&self, rows: &[f32], n_features: usize, out: &mut [f64]) -> Result<()> {
        let (n_rows, columns) = (i32::try_from(out.len())?, i32::try_from(n_features)?);
        let mut count = 0;
        // SAFETY: `rows` holds `n_rows x columns` values; one value per row is written to `out`, which has that many.
        let status = unsafe {
            (self.predict_matrix)(
                self.handle,
                rows.as_ptr().cast(),
                FLOAT32,
                n_rows,
                columns,
                ROW_MAJOR,
                RAW_SCORE,
                0,
                ALL_TREES,
                PARAMETERS.as_ptr(),
                &mut count,
                out.as_mut_ptr(),
            )
        };
        self.api.check(status)
    }
}

impl Drop for Booster {
    fn drop(&mut self) {
        for (name, handle) in [("LGBM_FastConfigFree", self.row), ("LGBM_BoosterFree", self.handle)] {
            let free: Result<Symbol<'_, unsafe extern "C" fn(Handle) -> c_int>> = self.api.symbol(name);
            if let (Ok(free), false) = (free, handle.is_null()) {
                // SAFETY: the handle is live, and nothing uses it afterwards.
                unsafe { free(handle) };
            }
        }
    }
}

struct Lightgbm {
    case: Arc<Case>,
    booster: Rc<Booster>,
    batch: bool,
    answers: Vec<f64>,
}

impl Engine for Lightgbm {
    fn name(&self) -> &str {
        if self.batch { "lightgbm c batch" } else { "lightgbm c SingleRowFast" }
    }

    fn predict(&mut self, first: usize, count: usize) -> Result<()> {
        let (rows, out) = (self.case.span(first, count), &mut self.answers[first..first + count]);
        if self.batch {
            return self.booster.matrix(rows, self.case.n_features, out);
        }
        rows.chunks_exact(self.case.n_features).zip(out).try_for_each(|(row, out)| self.booster.row(row, out))
    }

    fn answers(&self) -> Answers<'_> {
        Answers::F64(&self.answers)
    }
}

/// Both calls.
pub fn engines(case: &Arc<Case>, libraries: &Libraries) -> Result<Vec<Box<dyn Engine>>> {
    let Some(path) = case.file("lightgbm") else { return Ok(Vec::new()) };
    let booster = Rc::new(Booster::load(Api::open(libraries)?, &path, case.n_features)?);
    Ok([false, true]
        .into_iter()
        .map(|batch| {
            let answers = vec![f64::NAN; case.n_rows];
            Box::new(Lightgbm { case: Arc::clone(case), booster: Rc::clone(&booster), batch, answers })
                as Box<dyn Engine>
        })
        .collect())
}

/// From the file to the first row.
pub fn loads(case: &Arc<Case>, libraries: &Libraries) -> Result<Vec<Task>> {
    let Some(path) = case.file("lightgbm") else { return Ok(Vec::new()) };
    let (api, case) = (Api::open(libraries)?, Arc::clone(case));
    Ok(vec![Task::new("lightgbm c", move || {
        Booster::load(api, &path, case.n_features)?.row(case.span(0, 1), &mut 0.0)
    })])
}
