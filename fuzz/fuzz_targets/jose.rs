#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    keybound_fuzz::explore("jose", input);
});
