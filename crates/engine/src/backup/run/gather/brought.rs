//! Objects that others bring in: each is asked for by name.

use futures::StreamExt as _;
use kurator_archive::ItemPath;

use super::wanted::Want;
use super::{Gather, Stopped, item, path};
use crate::object::{Head, TypeOf};
use crate::report::About;
use crate::types::ApiType;

/// Objects that are asked for side by side.
const LOOKS: usize = 16;
/// Objects whose names are taken off the disk at once.
const BATCH: usize = 512;

impl Gather<'_> {
    /// What others bring in, and what that brings in.
    pub(super) async fn related(&self) -> Result<(), Stopped> {
        loop {
            let mut looks = Vec::new();
            while looks.len() < BATCH
                && let Some(want) = self.next_wanted()?
            {
                looks.extend(self.to_be_looked_for(&want));
            }
            if looks.is_empty() {
                return Ok(());
            }
            let looks = looks.into_iter().map(|(at, path)| self.look(&self.catalog.types[at], path));
            let mut looks = futures::stream::iter(looks).buffer_unordered(LOOKS);
            while let Some(look) = looks.next().await {
                look?;
            }
        }
    }

    fn next_wanted(&self) -> Result<Option<Want>, Stopped> {
        Ok(self.taken().wanted.pop()?)
    }

    /// Type and path of what is wanted, if it may be there, is not taken and has not been looked for.
    fn to_be_looked_for(&self, want: &Want) -> Option<(usize, ItemPath)> {
        let served = |api: &ApiType| api.group == want.group && api.resource == want.resource;
        let (at, api) = self.catalog.types.iter().enumerate().find(|(_, api)| served(api))?;
        let namespace = want.namespace.as_deref();
        match path(api, namespace, &want.name) {
            Ok(path) => {
                let mut taken = self.taken();
                (!taken.seen.contains(&path) && taken.looked.insert(&path)).then_some((at, path))
            }
            Err(problem) => {
                self.report.warning(About::from(namespace), problem);
                None
            }
        }
    }

    /// Takes an object that another brings in, if it exists and nothing bars it.
    async fn look(&self, api: &ApiType, path: ItemPath) -> Result<(), Stopped> {
        let namespace = path.namespace();
        let json = match self.caller.get(&api.object_path(namespace, path.name())).await {
            Ok(Some(json)) => json.to_vec(),
            Ok(None) => return Ok(()),
            Err(error) => {
                self.report.error(About::from(namespace), format!("cannot get {path}: {error}"));
                return Ok(());
            }
        };
        let Ok(head) = serde_json::from_slice::<Head<'_>>(&json) else {
            self.report.error(About::from(namespace), format!("cannot read {path}"));
            return Ok(());
        };
        if !self.selection.related(api, &item(&head, namespace)) {
            return Ok(());
        }
        let kind = TypeOf::from(&head);
        self.take(api, path, kind, json).await
    }
}
