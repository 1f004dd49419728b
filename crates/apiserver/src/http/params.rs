//! The query of a request.

use serde_json::Value;

use crate::error::{ApiError, FieldError, Result, Why};

/// What clients can ask for beside the path. What is not known is ignored, as kube-apiserver does.
#[derive(Clone, Debug, Default)]
pub(crate) struct Params {
    pub(crate) label_selector: String,
    pub(crate) field_selector: String,
    pub(crate) resource_version: Option<u64>,
    pub(crate) resource_version_match: String,
    pub(crate) limit: usize,
    pub(crate) continue_token: String,
    pub(crate) watch: bool,
    pub(crate) bookmarks: bool,
    pub(crate) initial_events: Option<bool>,
    /// Seconds until a watch ends.
    pub(crate) timeout: Option<u64>,
    pub(crate) dry_run: bool,
    pub(crate) field_manager: Option<String>,
    pub(crate) field_validation: FieldValidation,
    pub(crate) force: bool,
    pub(crate) propagation: Option<String>,
    pub(crate) include_object: IncludeObject,
}

/// What of an object the row of a table has beside its cells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum IncludeObject {
    Nothing,
    #[default]
    Metadata,
    Whole,
}

/// What happens to fields that no schema knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum FieldValidation {
    Ignore,
    #[default]
    Warn,
    Strict,
}

impl Params {
    pub(crate) fn parse(query: &str) -> Result<Self> {
        let mut params = Self::default();
        let watches =
            form_urlencoded::parse(query.as_bytes()).any(|(key, value)| key == "watch" && flag(&value));
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            let value = value.as_ref();
            match key.as_ref() {
                "labelSelector" => value.clone_into(&mut params.label_selector),
                "fieldSelector" => value.clone_into(&mut params.field_selector),
                "resourceVersion" => params.resource_version = version(value, watches)?,
                "resourceVersionMatch" => value.clone_into(&mut params.resource_version_match),
                "limit" => params.limit = number(value)?,
                "continue" => value.clone_into(&mut params.continue_token),
                "watch" => params.watch = flag(value),
                "allowWatchBookmarks" => params.bookmarks = flag(value),
                "sendInitialEvents" => params.initial_events = Some(flag(value)),
                "timeoutSeconds" => params.timeout = Some(number(value)?),
                "dryRun" => params.dry_run = dry_run(value)?,
                "fieldManager" => params.field_manager = Some(value.to_owned()),
                "fieldValidation" => params.field_validation = field_validation(value)?,
                "force" => params.force = flag(value),
                "includeObject" => params.include_object = include_object(value)?,
                "propagationPolicy" => params.propagation = Some(value.to_owned()),
                _ => {}
            }
        }
        Ok(params)
    }
}

fn flag(value: &str) -> bool {
    !matches!(value, "false" | "0" | "False" | "F" | "f")
}

fn number<T: std::str::FromStr>(value: &str) -> Result<T> {
    value.parse().map_err(|_| {
        ApiError::bad_request(format!("strconv.ParseInt: parsing {}: invalid syntax", Value::from(value)))
    })
}

fn version(value: &str, watches: bool) -> Result<Option<u64>> {
    if value.is_empty() {
        return Ok(None);
    }
    value.parse().map(Some).map_err(|_| {
        let shown = Value::from(value);
        let why = format!(
            "resourceVersion: Invalid value: {shown}: strconv.ParseUint: parsing {shown}: invalid syntax"
        );
        if watches {
            return ApiError::unforeseen(why);
        }
        ApiError::bad_request(format!("invalid resource version: {why}"))
    })
}

fn dry_run(value: &str) -> Result<bool> {
    match value {
        "All" => Ok(true),
        other => {
            let error = FieldError::new(
                Why::NotSupported,
                "dryRun",
                &serde_json::json!([other]),
                "supported values: \"All\"",
            );
            Err(ApiError::bad_options("CreateOptions", &error))
        }
    }
}

fn include_object(value: &str) -> Result<IncludeObject> {
    match value {
        "None" => Ok(IncludeObject::Nothing),
        "" | "Metadata" => Ok(IncludeObject::Metadata),
        "Object" => Ok(IncludeObject::Whole),
        other => {
            Err(ApiError::bad_request(format!("unrecognized includeObject value: {}", Value::from(other))))
        }
    }
}

fn field_validation(value: &str) -> Result<FieldValidation> {
    match value {
        "" | "Warn" => Ok(FieldValidation::Warn),
        "Ignore" => Ok(FieldValidation::Ignore),
        "Strict" => Ok(FieldValidation::Strict),
        other => {
            let detail = "supported values: \"\", \"Ignore\", \"Strict\", \"Warn\"";
            let error = FieldError::new(Why::NotSupported, "fieldValidation", &other.into(), detail);
            Err(ApiError::bad_options("CreateOptions", &error))
        }
    }
}
