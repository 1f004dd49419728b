//! What a lab says about itself to other processes: `lab.json` in its folder.

use std::{
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    LabError,
    slot::{is_owned, labs_folder},
};

/// Name of the file in the lab's folder.
const FILE: &str = "lab.json";

/// A lab as it was when it became ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabState {
    /// Name of the lab, which is the name of its folder.
    pub name: String,
    /// Process that owns the lab: the lab ends with it.
    pub owner: u32,
    /// Process 1 of the lab, by its id outside: the one whose namespaces to enter.
    pub init: u32,
    /// Folders to put in front of PATH.
    pub path: Vec<PathBuf>,
    /// Hub first, then the members in order.
    pub clusters: Vec<ClusterState>,
    /// All server processes.
    pub components: Vec<ComponentState>,
}

/// A cluster of a lab.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterState {
    /// `hub` or `member-N`.
    pub name: String,
    /// Address in the lab's network.
    pub address: Ipv4Addr,
    /// Its kubeconfig.
    pub kubeconfig: PathBuf,
}

/// A server process of a lab.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentState {
    /// Its name.
    pub name: String,
    /// Address of its host.
    pub address: Ipv4Addr,
    /// Its process id outside, if it ran.
    pub pid: Option<u32>,
    /// Its log.
    pub log: PathBuf,
}

impl LabState {
    /// The living lab of this name, if there is one and it is ready.
    ///
    /// # Errors
    /// Its file is there and cannot be read.
    pub fn of(name: &str) -> Result<Option<Self>, LabError> {
        let folder = labs_folder().join(name);
        let path = folder.join(FILE);
        if !is_owned(&folder) || !path.exists() {
            return Ok(None);
        }
        let text = fs::read(&path).map_err(|source| LabError::File { path: path.clone(), source })?;
        serde_json::from_slice(&text).map(Some).map_err(|e| LabError::File { path, source: e.into() })
    }

    /// Whether a living process holds the name, ready or not.
    pub fn is_held(name: &str) -> bool {
        is_owned(&labs_folder().join(name))
    }

    pub(crate) fn write(&self, folder: &Path) -> Result<(), LabError> {
        let path = folder.join(FILE);
        let text = serde_json::to_vec_pretty(self)
            .map_err(|e| LabError::File { path: path.clone(), source: e.into() })?;
        fs::write(&path, text).map_err(|source| LabError::File { path, source })
    }
}
