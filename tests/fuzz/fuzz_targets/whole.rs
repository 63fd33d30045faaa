#![no_main]

#[allow(dead_code, reason = "each target uses one of the hooks")]
#[path = "../hooks.rs"]
mod hooks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| hooks::whole(data));
