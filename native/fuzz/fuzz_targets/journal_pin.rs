#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    tickdeck_fuzzing::run("journal_pin", bytes);
});
