//! How the process takes memory from the system, and gives it back.

/// Keeps no more memory than is in use, more or less; to be called before there are threads.
///
/// By default glibc gives each thread an arena, up to eight per core, and what was freed in one is not used by the
/// others; and once a large block was freed, it keeps blocks of that size for the next time. That was a quarter of
/// a backup's peak, and stayed for as long as the process.
pub(crate) fn keep_small() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    for (parameter, value) in [
        (libc::M_ARENA_MAX, 2),
        // In bytes: larger blocks come from the system each time, and more than this of freed ones goes back to it.
        (libc::M_MMAP_THRESHOLD, 256 << 10),
        (libc::M_TRIM_THRESHOLD, 1 << 20),
    ] {
        #[expect(unsafe_code, reason = "glibc has no other way to say it from inside the process")]
        // SAFETY: takes two numbers and keeps no reference. It refuses only what it does not know: then all is as it was.
        unsafe {
            libc::mallopt(parameter, value);
        }
    }
}
