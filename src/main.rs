//! The command line: everything is in the library.

/// Connections and their exchanges are many small pieces of memory that come and go by the thousands, which costs the C
/// library's allocator a seventh of the time.
#[cfg(all(feature = "jemalloc", not(target_env = "msvc")))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    hop101::cli::run(std::env::args_os())
}
