//! An object store alone, on a private network of its own.

use std::sync::Arc;

use crate::{
    LabError, S3, S3Spec,
    binaries::{self, Progress},
    cage::Cage,
    requirements::requirements,
    slot::Slot,
};

/// A real object store without any cluster, for as long as this value, or its process, lives.
pub struct S3Lab {
    s3: S3,
    cage: Arc<Cage>,
    slot: Slot,
    /// Whether it ever was; if not, its logs are what is left of it.
    ready: bool,
}

impl S3Lab {
    /// Starts a server and waits until it answers. A first start builds its program, which takes minutes.
    ///
    /// # Errors
    /// What the machine lacks, or that the server did not come up, with the end of its log.
    pub fn start(spec: S3Spec) -> Result<Self, LabError> {
        requirements()?;
        let progress: Progress<'_> = &|line| tracing::info!("{line}");
        let slot = Slot::claim(None)?;
        let binaries = binaries::ensure(&[spec.server.module()], progress)?;
        let cage = Arc::new(Cage::open()?);
        let s3 = S3::new(&cage, &slot, &binaries, spec)?;
        let mut lab = Self { s3, cage, slot, ready: false };
        lab.s3.start()?;
        lab.ready = true;
        Ok(lab)
    }

    /// The object store.
    pub fn s3(&self) -> &S3 {
        &self.s3
    }

    /// Runs a future inside the lab's network, on a runtime of its own, until it ends.
    ///
    /// # Panics
    /// Inside another runtime, and where the kernel refuses to change the network namespace.
    pub fn run<F: Future>(&self, work: F) -> F::Output {
        self.cage.run(work)
    }
}

impl Drop for S3Lab {
    fn drop(&mut self) {
        self.cage.end(self.s3.components());
        self.slot.leave(self.ready);
    }
}
