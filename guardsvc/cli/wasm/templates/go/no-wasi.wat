;; WASI as programs of some toolchains expect it, and nothing behind it: `wasm-tools component new --adapt` puts it into
;; the component, of it what is used, which then imports no WASI. There are no files, arguments and environment. The
;; clock counts how often it was asked, in microseconds, and "random" bytes are always the same: good enough for the
;; runtime of a language, not for cryptography.
(module
  (import "env" "memory" (memory 0))

  (global $success i32 (i32.const 0))
  (global $badf i32 (i32.const 8))
  (global $nosys i32 (i32.const 52))

  (func (export "args_sizes_get") (param $count i32) (param $bytes i32) (result i32)
    (i32.store (local.get $count) (i32.const 0))
    (i32.store (local.get $bytes) (i32.const 0))
    (global.get $success))
  (func (export "args_get") (param i32 i32) (result i32) (global.get $success))
  (func (export "environ_sizes_get") (param $count i32) (param $bytes i32) (result i32)
    (i32.store (local.get $count) (i32.const 0))
    (i32.store (local.get $bytes) (i32.const 0))
    (global.get $success))
  (func (export "environ_get") (param i32 i32) (result i32) (global.get $success))

  ;; Go's runtime ends where a clock tells 0.
  (global $now (mut i64) (i64.const 1000000000))
  (func (export "clock_time_get") (param $clock i32) (param $precision i64) (param $time i32) (result i32)
    (global.set $now (i64.add (global.get $now) (i64.const 1000)))
    (i64.store (local.get $time) (global.get $now))
    (global.get $success))
  (func (export "clock_res_get") (param $clock i32) (param $resolution i32) (result i32)
    (i64.store (local.get $resolution) (i64.const 1000))
    (global.get $success))
  (func (export "poll_oneoff") (param i32 i32 i32) (param $events i32) (result i32)
    (i32.store (local.get $events) (i32.const 0))
    (global.get $success))
  (func (export "sched_yield") (result i32) (global.get $success))

  (func (export "random_get") (param $at i32) (param $size i32) (result i32)
    (local $end i32)
    (local.set $end (i32.add (local.get $at) (local.get $size)))
    (loop $next
      (if (i32.lt_u (local.get $at) (local.get $end))
        (then
          (i32.store8 (local.get $at) (i32.mul (i32.sub (local.get $end) (local.get $at)) (i32.const 109)))
          (local.set $at (i32.add (local.get $at) (i32.const 1)))
          (br $next))))
    (global.get $success))

  ;; Whatever is printed, the text of a panic too, is taken and shown nowhere.
  (func (export "fd_write") (param $fd i32) (param $parts i32) (param $count i32) (param $written i32) (result i32)
    (local $sum i32)
    (loop $next
      (if (local.get $count)
        (then
          (local.set $sum (i32.add (local.get $sum) (i32.load offset=4 (local.get $parts))))
          (local.set $parts (i32.add (local.get $parts) (i32.const 8)))
          (local.set $count (i32.sub (local.get $count) (i32.const 1)))
          (br $next))))
    (i32.store (local.get $written) (local.get $sum))
    (global.get $success))
  (func (export "proc_exit") (param i32) unreachable)

  ;; No file can be opened, so that none is open.
  (func (export "fd_close") (param i32) (result i32) (global.get $badf))
  (func (export "fd_fdstat_get") (param i32 i32) (result i32) (global.get $badf))
  (func (export "fd_fdstat_set_flags") (param i32 i32) (result i32) (global.get $badf))
  (func (export "fd_filestat_get") (param i32 i32) (result i32) (global.get $badf))
  (func (export "fd_filestat_set_size") (param i32 i64) (result i32) (global.get $badf))
  (func (export "fd_filestat_set_times") (param i32 i64 i64 i32) (result i32) (global.get $badf))
  (func (export "fd_prestat_get") (param i32 i32) (result i32) (global.get $badf))
  (func (export "fd_prestat_dir_name") (param i32 i32 i32) (result i32) (global.get $badf))
  (func (export "fd_read") (param i32 i32 i32 i32) (result i32) (global.get $badf))
  (func (export "fd_pread") (param i32 i32 i32 i64 i32) (result i32) (global.get $badf))
  (func (export "fd_pwrite") (param i32 i32 i32 i64 i32) (result i32) (global.get $badf))
  (func (export "fd_readdir") (param i32 i32 i32 i64 i32) (result i32) (global.get $badf))
  (func (export "fd_seek") (param i32 i64 i32 i32) (result i32) (global.get $badf))
  (func (export "fd_sync") (param i32) (result i32) (global.get $badf))
  (func (export "path_open") (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32) (global.get $nosys))
  (func (export "path_create_directory") (param i32 i32 i32) (result i32) (global.get $nosys))
  (func (export "path_filestat_get") (param i32 i32 i32 i32 i32) (result i32) (global.get $nosys))
  (func (export "path_filestat_set_times") (param i32 i32 i32 i32 i64 i64 i32) (result i32) (global.get $nosys))
  (func (export "path_link") (param i32 i32 i32 i32 i32 i32 i32) (result i32) (global.get $nosys))
  (func (export "path_readlink") (param i32 i32 i32 i32 i32 i32) (result i32) (global.get $nosys))
  (func (export "path_remove_directory") (param i32 i32 i32) (result i32) (global.get $nosys))
  (func (export "path_rename") (param i32 i32 i32 i32 i32 i32) (result i32) (global.get $nosys))
  (func (export "path_symlink") (param i32 i32 i32 i32 i32) (result i32) (global.get $nosys))
  (func (export "path_unlink_file") (param i32 i32 i32) (result i32) (global.get $nosys))
  (func (export "sock_accept") (param i32 i32 i32) (result i32) (global.get $nosys))
  (func (export "sock_shutdown") (param i32 i32) (result i32) (global.get $nosys)))
