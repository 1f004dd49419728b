//! The programs of the lab, built once from pinned Go modules.
//!
//! Pins are the `go.mod` and `go.sum` files in this crate's `go/` folder. Built programs are kept outside the clone,
//! in a folder per module whose name is a hash of everything that decides its content, so a changed pin rebuilds
//! that module and nothing else. Ready programs are taken from `$KURATOR_LAB_BIN` if that is set.

mod build;

pub(crate) use build::last_lines;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use crate::requirements::{find_in_path, is_executable};

/// Folder with ready programs; nothing is built then.
const READY: &str = "KURATOR_LAB_BIN";
/// Folder to keep built programs in.
const CACHE: &str = "KURATOR_LAB_CACHE";

/// Told one line at a time what is being built; a first build takes minutes.
pub type Progress<'a> = &'a (dyn Fn(&str) + Sync);

/// A pinned Go module whose programs are built together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Module {
    /// kube-apiserver, kube-controller-manager and kubectl.
    Kubernetes,
    /// etcd.
    Etcd,
    /// The Velero server and its plugin for S3.
    Velero,
    /// MinIO.
    Minio,
    /// versitygw, an S3 server of another make.
    Versitygw,
}

/// A program of the lab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binary {
    /// File name.
    pub name: &'static str,
    /// Go package it is built from.
    package: &'static str,
}

/// What a module is built from.
struct Pin {
    name: &'static str,
    go_mod: &'static str,
    go_sum: &'static str,
    /// Linker flags that stamp the version; without them clients see v0.0.0.
    stamp: &'static str,
    binaries: &'static [Binary],
}

macro_rules! pin {
    ($name:literal, $stamp:expr, $binaries:expr) => {
        Pin {
            name: $name,
            go_mod: include_str!(concat!("../go/", $name, "/go.mod")),
            go_sum: include_str!(concat!("../go/", $name, "/go.sum")),
            stamp: $stamp,
            binaries: $binaries,
        }
    };
}

const KUBERNETES: Pin = pin!(
    "k8s",
    "-X k8s.io/component-base/version.gitVersion=v1.36.3 -X k8s.io/component-base/version.gitMajor=1 \
     -X k8s.io/component-base/version.gitMinor=36 -X k8s.io/component-base/version.gitTreeState=clean \
     -X k8s.io/client-go/pkg/version.gitVersion=v1.36.3 -X k8s.io/client-go/pkg/version.gitMajor=1 \
     -X k8s.io/client-go/pkg/version.gitMinor=36 -X k8s.io/client-go/pkg/version.gitTreeState=clean",
    &[
        Binary { name: "kube-apiserver", package: "k8s.io/kubernetes/cmd/kube-apiserver" },
        Binary { name: "kube-controller-manager", package: "k8s.io/kubernetes/cmd/kube-controller-manager" },
        Binary { name: "kubectl", package: "k8s.io/kubernetes/cmd/kubectl" },
    ]
);
const ETCD: Pin = pin!("etcd", "", &[Binary { name: "etcd", package: "go.etcd.io/etcd/server/v3" }]);
const VELERO: Pin = pin!(
    "velero",
    "-X github.com/vmware-tanzu/velero/pkg/buildinfo.Version=v1.18.3",
    &[
        Binary { name: "velero", package: "github.com/vmware-tanzu/velero/cmd/velero" },
        Binary {
            name: "velero-plugin-for-aws",
            package: "github.com/vmware-tanzu/velero-plugin-for-aws/velero-plugin-for-aws",
        },
    ]
);
const MINIO: Pin = pin!("minio", "", &[Binary { name: "minio", package: "github.com/minio/minio" }]);
const VERSITYGW: Pin = pin!(
    "versitygw",
    "",
    &[Binary { name: "versitygw", package: "github.com/versity/versitygw/cmd/versitygw" }]
);

impl Module {
    /// All modules, for a complete lab.
    pub const ALL: [Self; 5] = [Self::Etcd, Self::Kubernetes, Self::Velero, Self::Minio, Self::Versitygw];

    fn pin(self) -> &'static Pin {
        match self {
            Self::Kubernetes => &KUBERNETES,
            Self::Etcd => &ETCD,
            Self::Velero => &VELERO,
            Self::Minio => &MINIO,
            Self::Versitygw => &VERSITYGW,
        }
    }

    /// The programs this module has.
    pub fn binaries(self) -> &'static [Binary] {
        self.pin().binaries
    }
}

/// Why a program is not there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BinariesError {
    /// Neither ready programs nor a Go toolchain.
    #[error("{0}")]
    NoGo(String),

    /// `$KURATOR_LAB_BIN` names a folder that lacks a program.
    #[error("`{}` has no executable `{binary}`: put it there or unset KURATOR_LAB_BIN", folder.display())]
    NotReady {
        /// The folder.
        folder: PathBuf,
        /// The program.
        binary: &'static str,
    },

    /// No folder for built programs can be named.
    #[error("no folder for the lab's programs: set KURATOR_LAB_CACHE or HOME")]
    NoCache,

    /// The cache could not be written.
    #[error("cannot use `{}` in the lab's cache", path.display())]
    Cache {
        /// File or folder.
        path: PathBuf,
        /// What the file system said.
        #[source]
        source: io::Error,
    },

    /// The Go compiler refused.
    #[error("cannot build `{binary}`, go said:\n{said}")]
    Build {
        /// The program.
        binary: &'static str,
        /// End of the compiler's output.
        said: String,
    },
}

/// Where each program is.
#[derive(Debug, Clone, Default)]
pub struct Binaries {
    paths: BTreeMap<&'static str, PathBuf>,
}

impl Binaries {
    /// The program's file; its bare name where its module was not asked for.
    pub fn path(&self, binary: &str) -> PathBuf {
        self.paths.get(binary).cloned().unwrap_or_else(|| binary.into())
    }

    /// The folders to put in front of PATH.
    pub fn folders(&self) -> Vec<&Path> {
        let mut folders: Vec<_> = self.paths.values().filter_map(|path| path.parent()).collect();
        folders.sort_unstable();
        folders.dedup();
        folders
    }
}

/// Finds the programs of these modules, building what is not there yet.
///
/// Two processes that need the same module do not build it twice: the second waits for the first.
///
/// # Errors
/// No Go toolchain and no ready programs, a cache that can't be written, or a build that fails.
pub fn ensure(modules: &[Module], progress: Progress<'_>) -> Result<Binaries, BinariesError> {
    let mut paths = BTreeMap::new();
    if let Some(folder) = ready_folder() {
        for binary in modules.iter().flat_map(|module| module.binaries()) {
            let path = folder.join(binary.name);
            if !is_executable(&path) {
                return Err(BinariesError::NotReady { folder, binary: binary.name });
            }
            paths.insert(binary.name, path);
        }
        return Ok(Binaries { paths });
    }
    let go = build::Go::find()?;
    let cache = cache_folder().ok_or(BinariesError::NoCache)?;
    for module in modules {
        paths.extend(build::module(&go, &cache, module.pin(), progress)?);
    }
    Ok(Binaries { paths })
}

/// Why the programs can be neither found nor built here, if so.
pub(crate) fn obstacle() -> Option<String> {
    if ready_folder().is_some() || find_in_path("go").is_some() {
        return None;
    }
    Some(format!(
        "the lab builds its programs with Go, and there is no `go` in PATH: install Go 1.26 or set {READY} to a \
         folder with ready programs"
    ))
}

fn ready_folder() -> Option<PathBuf> {
    let folder = std::env::var_os(READY).filter(|value| !value.is_empty())?;
    Some(std::path::absolute(&folder).unwrap_or_else(|_| folder.into()))
}

fn cache_folder() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = set(CACHE)
        .or_else(|| set("XDG_CACHE_HOME").map(|cache| cache.join("kurator/lab")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/kurator/lab")))?;
    std::path::absolute(folder).ok()
}
