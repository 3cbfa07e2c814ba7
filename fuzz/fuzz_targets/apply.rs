#![no_main]
zorilla_fuzz::fuzz!("apply");
