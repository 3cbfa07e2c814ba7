#![no_main]
zorilla_fuzz::fuzz!("connect");
