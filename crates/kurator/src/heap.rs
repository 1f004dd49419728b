//! How the process takes memory from the system.

/// Lets all threads share two arenas of memory; to be called before there are threads.
///
/// glibc gives each thread one, up to eight per core, and what was freed in one is not used by the others: a fifth of
/// a backup's peak.
pub(crate) fn share_arenas() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(unsafe_code, reason = "glibc has no other way to say it from inside the process")]
    // SAFETY: takes two numbers and keeps no reference.
    unsafe {
        // It refuses only a parameter that it does not know: then all is as it was.
        libc::mallopt(libc::M_ARENA_MAX, 2);
    }
}
