//! The kubeconfig that leads to a cluster, found and read as kubectl does.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};

use crate::failure::Failure;
use crate::proxy::Environment;
use crate::quickstart;

const VARIABLE: &str = "KUBECONFIG";

/// The files that `$KUBECONFIG` names.
pub(crate) fn of_environment() -> Vec<PathBuf> {
    let list = std::env::var_os(VARIABLE).unwrap_or_default();
    std::env::split_paths(&list).filter(|file| !file.as_os_str().is_empty()).collect()
}

/// The configuration of the `what` ("hub", "cluster") that a command works on.
pub(crate) async fn config(
    what: &'static str,
    file: Option<&Path>,
    context: Option<&str>,
) -> Result<kube::Config, Failure> {
    let files = file.map_or_else(of_environment, |file| vec![file.to_owned()]);
    read(what, file, &files, context).await.map_err(|error| {
        let hint = hint(what, file.is_some(), &files, &error);
        Failure::with_hint(error, hint)
    })
}

/// A context that is not there was asked for.
#[derive(Debug)]
struct NoContext {
    asked: String,
    /// Those that are.
    known: Vec<String>,
}

impl fmt::Display for NoContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it has no context `{}`", self.asked)
    }
}

fn hint(what: &str, is_named: bool, files: &[PathBuf], error: &anyhow::Error) -> String {
    if let Some(NoContext { known, .. }) = error.downcast_ref() {
        return match known.as_slice() {
            [] => "it has none at all; name another file with --kubeconfig FILE".to_owned(),
            known => format!("it has {}", known.join(", ")),
        };
    }
    if files.iter().any(|file| quickstart::has_ended(file)) {
        return "the quickstart that wrote it has ended; `kurator quickstart` begins another".to_owned();
    }
    if is_named {
        return "name another file with --kubeconfig FILE".to_owned();
    }
    format!(
        "name the {what} with --kubeconfig FILE or in $KUBECONFIG, or run in a pod with a service account"
    )
}

async fn read(
    what: &str,
    named: Option<&Path>,
    files: &[PathBuf],
    context: Option<&str>,
) -> anyhow::Result<kube::Config> {
    let reading = || named.map_or_else(|| "cannot read the kubeconfig".to_owned(), reading);
    let kubeconfig = match merged(files) {
        // In a pod there is none, and none is needed.
        Err(error @ (KubeconfigError::ReadConfig(..) | KubeconfigError::FindPath))
            if named.is_none() && context.is_none() =>
        {
            let is_missing = |_| {
                anyhow::anyhow!(
                    "cannot find out where the {what} is: {:#}, and this is no pod",
                    unread(error)
                )
            };
            return kube::Config::incluster().map_err(is_missing);
        }
        Err(error @ KubeconfigError::ReadConfig(..)) => return Err(unread(error)),
        // The parser's own words show the text, and with it credentials.
        Err(KubeconfigError::Parse(error)) => return Err(no_kubeconfig(&error)).with_context(reading),
        kubeconfig => kubeconfig.with_context(reading)?,
    };
    if let Some(asked) = context.filter(|asked| !kubeconfig.contexts.iter().any(|known| known.name == *asked))
    {
        let known = kubeconfig.contexts.iter().map(|known| known.name.clone()).collect();
        return Err(anyhow::Error::msg(NoContext { asked: asked.to_owned(), known }).context(reading()));
    }
    let own_proxy = own_proxy(&kubeconfig, context);
    let options = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
    let mut config =
        kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.with_context(reading)?;
    let variable = |name: &str| std::env::var(name).ok();
    let proxy = own_proxy.or_else(|| Environment(&variable).proxy(&config.cluster_url));
    // The library takes one of the environment also for this machine.
    config.proxy_url = proxy
        .map(|proxy| proxy.parse().context("cannot use the proxy; check `proxy-url` and HTTPS_PROXY"))
        .transpose()?;
    Ok(config)
}

/// All of the files as one, or the user's own if none is named; what the first one says counts. One that is not there is
/// left out, unless it is all of them.
fn merged(files: &[PathBuf]) -> Result<Kubeconfig, KubeconfigError> {
    if files.is_empty() {
        return Kubeconfig::read();
    }
    let mut all: Option<Kubeconfig> = None;
    let mut missing = None;
    for file in files {
        match Kubeconfig::read_from(file) {
            Ok(next) => all = Some(all.unwrap_or_default().merge(next)?),
            Err(error) if is_missing(&error) => missing = missing.or(Some(error)),
            Err(error) => return Err(error),
        }
    }
    all.ok_or_else(|| missing.unwrap_or(KubeconfigError::FindPath))
}

fn is_missing(error: &KubeconfigError) -> bool {
    matches!(error, KubeconfigError::ReadConfig(error, _) if error.kind() == io::ErrorKind::NotFound)
}

/// The library quotes the file's name twice.
fn unread(error: KubeconfigError) -> anyhow::Error {
    match error {
        KubeconfigError::ReadConfig(why, file) => anyhow::Error::new(why).context(reading(&file)),
        error => error.into(),
    }
}

fn reading(file: &Path) -> String {
    format!("cannot read kubeconfig {}", file.display())
}

fn no_kubeconfig(error: &serde_saphyr::Error) -> anyhow::Error {
    let place = error.location().map(|at| format!(" (line {}, column {})", at.line(), at.column()));
    anyhow::anyhow!(
        "it is not YAML of the expected shape{}; `kubectl config view` says more",
        place.unwrap_or_default()
    )
}

/// The proxy that the kubeconfig itself names for the cluster of this context, or of its current one.
fn own_proxy(kubeconfig: &Kubeconfig, context: Option<&str>) -> Option<String> {
    let context = context.or(kubeconfig.current_context.as_deref())?;
    let context = kubeconfig.contexts.iter().find(|named| named.name == context)?.context.as_ref()?;
    let cluster = kubeconfig.clusters.iter().find(|named| named.name == context.cluster)?.cluster.as_ref()?;
    cluster.proxy_url.clone().filter(|proxy| !proxy.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(folder: &Path, name: &str, context: &str) -> PathBuf {
        let path = folder.join(name);
        let text = format!(
            "contexts: [{{name: {context}, context: {{cluster: c, namespace: of-{context}}}}}]\n\
             clusters: [{{name: c, cluster: {{server: 'https://127.0.0.1:1'}}}}]\ncurrent-context: {context}\n"
        );
        std::fs::write(&path, text).unwrap();
        path
    }

    #[tokio::test]
    async fn a_file_that_is_no_kubeconfig_is_not_quoted() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "users:\n  - name: [s3cret\n").unwrap();
        let files = [file.path().to_owned()];
        let said = format!("{:#}", read("hub", Some(file.path()), &files, None).await.unwrap_err());
        assert!(
            said.contains("it is not YAML of the expected shape (line ") && !said.contains("s3cret"),
            "{said}"
        );
    }

    #[tokio::test]
    async fn files_of_a_list_that_are_not_there_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let files =
            [folder.path().join("missing"), file(folder.path(), "a", "a"), file(folder.path(), "b", "b")];
        let of = async |context| read("hub", None, &files, context).await.unwrap().default_namespace;
        assert_eq!(of(None).await, "of-a");
        assert_eq!(of(Some("b")).await, "of-b");
    }

    #[tokio::test]
    async fn a_list_without_any_file_that_is_there_leads_nowhere() {
        let missing = [PathBuf::from("/no/such/file"), PathBuf::from("/nor/this")];
        let said = format!("{:#}", read("hub", None, &missing, None).await.unwrap_err());
        let expected = "cannot find out where the hub is: cannot read kubeconfig /no/such/file: No such file or directory (os \
                        error 2), and this is no pod";
        assert_eq!(said, expected);
    }

    #[tokio::test]
    async fn a_file_that_is_named_must_be_there() {
        let missing = PathBuf::from("/no/such/file");
        let said = read("hub", Some(&missing), std::slice::from_ref(&missing), None).await.unwrap_err();
        let expected = "cannot read kubeconfig /no/such/file: No such file or directory (os error 2)";
        assert_eq!(format!("{said:#}"), expected);
    }

    #[tokio::test]
    async fn whoever_names_a_context_that_is_not_there_is_told_those_that_are() {
        let folder = tempfile::tempdir().unwrap();
        let files = [file(folder.path(), "a", "a"), file(folder.path(), "b", "b")];
        let error = read("hub", None, &files, Some("nope")).await.unwrap_err();
        assert_eq!(format!("{error:#}"), "cannot read the kubeconfig: it has no context `nope`");
        assert_eq!(hint("hub", false, &files, &error), "it has a, b");
    }

    #[test]
    fn the_kubeconfig_of_a_quickstart_that_has_ended_is_known_by_its_place() {
        let hint = |file: &str| hint("hub", true, &[PathBuf::from(file)], &anyhow::anyhow!("missing"));
        assert!(hint("/no/such/kurator-x1/hub").contains("has ended; `kurator quickstart` begins another"));
        assert_eq!(hint("/no/such/hub"), "name another file with --kubeconfig FILE");
    }

    #[test]
    fn whoever_names_no_file_is_told_where_to() {
        let said = hint("hub", false, &[], &anyhow::anyhow!("missing"));
        assert_eq!(
            said,
            "name the hub with --kubeconfig FILE or in $KUBECONFIG, or run in a pod with a service account"
        );
    }
}
