#![no_main]
zorilla_fuzz::fuzz!("replies");
