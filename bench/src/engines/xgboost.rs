//! XGBoost's C interface, from the wheel: `XGBoosterPredictFromDense`, which reads the rows in place, with one thread.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use anyhow::{Context as _, Result, bail};
use libloading::{Library, Symbol};

use super::{Answers, Engine, Libraries, Task};
use crate::case::Case;
use crate::clock::cpu_time;

type Handle = *mut c_void;
type Predict = unsafe extern "C" fn(
    Handle,
    *const c_char,
    *const c_char,
    Handle,
    *mut *const u64,
    *mut u64,
    *mut *const f32,
) -> c_int;
type PredictMatrix =
    unsafe extern "C" fn(Handle, Handle, *const c_char, *mut *const u64, *mut u64, *mut *const f32) -> c_int;

/// Margins of all trees; `NaN` is missing.
const MARGINS: &CStr = c"{\"type\": 1, \"training\": false, \"iteration_begin\": 0, \"iteration_end\": 0, \
    \"strict_shape\": false, \"cache_id\": 0, \"missing\": NaN}";
/// Contributions (exact TreeSHAP) of all trees.
const CONTRIBUTIONS: &CStr =
    c"{\"type\": 2, \"training\": false, \"iteration_begin\": 0, \"iteration_end\": 0, \
    \"strict_shape\": false}";

/// The functions that are used. A symbol of `xgboost/c_api.h` has the type that is given here.
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
        let path = libraries.packages.join("xgboost/lib/libxgboost.so");
        // SAFETY: the library's initialisers have no preconditions.
        let library = unsafe { Library::new(&path) }.with_context(|| path.display().to_string())?;
        Ok(API.get_or_init(|| Self { library }))
    }

    fn symbol<T>(&self, name: &str) -> Result<Symbol<'_, T>> {
        // SAFETY: every caller gives the type that xgboost/c_api.h declares for the name.
        Ok(unsafe { self.library.get(name.as_bytes()) }?)
    }

    fn check(&self, status: c_int) -> Result<()> {
        if status == 0 {
            return Ok(());
        }
        let last_error: Symbol<'_, unsafe extern "C" fn() -> *const c_char> =
            self.symbol("XGBGetLastError")?;
        // SAFETY: it takes nothing and gives a string that lives until this thread's next call.
        let message = unsafe { CStr::from_ptr(last_error()) }.to_string_lossy().into_owned();
        bail!("xgboost: {message}")
    }
}

/// A loaded model.
struct Booster {
    api: &'static Api,
    handle: Handle,
    predict: Predict,
}

impl Booster {
    fn load(api: &'static Api, path: &Path) -> Result<Self> {
        let create: Symbol<'_, unsafe extern "C" fn(*const Handle, u64, *mut Handle) -> c_int> =
            api.symbol("XGBoosterCreate")?;
        let load: Symbol<'_, unsafe extern "C" fn(Handle, *const c_char) -> c_int> =
            api.symbol("XGBoosterLoadModel")?;
        let set: Symbol<'_, unsafe extern "C" fn(Handle, *const c_char, *const c_char) -> c_int> =
            api.symbol("XGBoosterSetParam")?;
        let predict = *api.symbol::<Predict>("XGBoosterPredictFromDense")?;
        let path = CString::new(path.as_os_str().as_encoded_bytes())?;
        let mut handle = std::ptr::null_mut();
        // SAFETY: no matrices are given, and `handle` is valid to write to.
        api.check(unsafe { create(std::ptr::null(), 0, &mut handle) })?;
        let booster = Self { api, handle, predict };
        // SAFETY: the handle is live until the booster is dropped, and the strings end in a zero.
        api.check(unsafe { set(handle, c"nthread".as_ptr(), c"1".as_ptr()) })?;
        // SAFETY: as above.
        api.check(unsafe { load(handle, path.as_ptr()) })?;
        Ok(booster)
    }

    /// Margins of `rows` into `out`.
    fn margins(&self, rows: &[f32], n_features: usize, out: &mut [f32]) -> Result<()> {
        let array = CString::new(format!(
            "{{\"data\": [{}, true], \"shape\": [{}, {n_features}], \"typestr\": \"<f4\", \"version\": 3}}",
            rows.as_ptr() as usize,
            out.len(),
        ))?;
        let (mut shape, mut dimensions, mut result) = (std::ptr::null(), 0, std::ptr::null());
        // SAFETY: the handle is live; `array` describes `rows`, which outlives the call; a null proxy is allowed; the
        // last three are valid to write to.
        let status = unsafe {
            (self.predict)(
                self.handle,
                array.as_ptr(),
                MARGINS.as_ptr(),
                std::ptr::null_mut(),
                &mut shape,
                &mut dimensions,
                &mut result,
            )
        };
        self.api.check(status)?;
        // SAFETY: for a model of one output the result holds one value per row, until the booster's next call.
        out.copy_from_slice(unsafe { std::slice::from_raw_parts(result, out.len()) });
        Ok(())
    }
}

impl Drop for Booster {
    fn drop(&mut self) {
        let free: Result<Symbol<'_, unsafe extern "C" fn(Handle) -> c_int>> =
            self.api.symbol("XGBoosterFree");
        if let Ok(free) = free {
            // SAFETY: the handle is live, and nothing uses it afterwards.
            unsafe { free(self.handle) };
        }
    }
}

struct Xgboost {
    case: Arc<Case>,
    booster: Booster,
    answers: Vec<f32>,
}

impl Engine for Xgboost {
    fn name(&self) -> &str {
        "xgboost c"
    }

    fn predict(&mut self, first: usize, count: usize) -> Result<()> {
        let out = &mut self.answers[first..first + count];
        self.booster.margins(self.case.span(first, count), self.case.n_features, out)
    }

    fn answers(&self) -> Answers<'_> {
        Answers::F32(&self.answers)
    }
}

/// Its fastest call.
pub fn engines(case: &Arc<Case>, libraries: &Libraries) -> Result<Vec<Box<dyn Engine>>> {
    let Some(path) = case.file("xgboost") else { return Ok(Vec::new()) };
    let booster = Booster::load(Api::open(libraries)?, &path)?;
    Ok(vec![Box::new(Xgboost { case: Arc::clone(case), booster, answers: vec![f32::NAN; case.n_rows] })])
}

/// From the file to the first row.
pub fn loads(case: &Arc<Case>, libraries: &Libraries) -> Result<Vec<Task>> {
    let Some(path) = case.file("xgboost") else { return Ok(Vec::new()) };
    let (api, case) = (Api::open(libraries)?, Arc::clone(case));
    let load_path = path.clone();
    Ok(vec![
        Task::new("xgboost c, load only", move || Booster::load(api, &load_path).map(drop)),
        Task::new("xgboost c", move || {
            Booster::load(api, &path)?.margins(case.span(0, 1), case.n_features, &mut [0.0])
        }),
    ])
}

/// A matrix of one row.
struct Matrix {
    api: &'static Api,
    handle: Handle,
}

impl Matrix {
    fn new(api: &'static Api, row: &[f32]) -> Result<Self> {
        let create: Symbol<'_, unsafe extern "C" fn(*const f32, u64, u64, f32, *mut Handle) -> c_int> =
            api.symbol("XGDMatrixCreateFromMat")?;
        let mut handle = std::ptr::null_mut();
        // SAFETY: `row` is one row of its length, and `handle` is valid to write to.
        api.check(unsafe { create(row.as_ptr(), 1, row.len() as u64, f32::NAN, &mut handle) })?;
        Ok(Self { api, handle })
    }
}

impl Drop for Matrix {
    fn drop(&mut self) {
        let free: Result<Symbol<'_, unsafe extern "C" fn(Handle) -> c_int>> =
            self.api.symbol("XGDMatrixFree");
        if let Ok(free) = free {
            // SAFETY: the handle is live, and nothing uses it afterwards.
            unsafe { free(self.handle) };
        }
    }
}

/// `pred_contribs` of one row; its matrix is made outside the clock.
pub fn contributions(case: &Arc<Case>, libraries: &Libraries) -> Result<Vec<Task>> {
    let Some(path) = case.file("xgboost") else { return Ok(Vec::new()) };
    let api = Api::open(libraries)?;
    let booster = Booster::load(api, &path)?;
    let predict = *api.symbol::<PredictMatrix>("XGBoosterPredictFromDMatrix")?;
    let (case, mut row) = (Arc::clone(case), 0);
    let run = Box::new(move || {
        // The whole booster moves in here, not its handle alone, which would not keep it.
        let booster = &booster;
        let matrix = Matrix::new(api, case.span(row, 1))?;
        row = (row + 1) % case.n_rows;
        let (mut shape, mut dimensions, mut result) = (std::ptr::null(), 0, std::ptr::null());
        let config = CONTRIBUTIONS.as_ptr();
        let start = cpu_time();
        // SAFETY: both handles are live, and the last three are valid to write to.
        let status = unsafe {
            predict(booster.handle, matrix.handle, config, &mut shape, &mut dimensions, &mut result)
        };
        let time = cpu_time() - start;
        api.check(status)?;
        Ok(time)
    });
    Ok(vec![Task { engine: "xgboost pred_contribs".to_owned(), run }])
}
