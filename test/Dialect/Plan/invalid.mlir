// RUN: ftc-opt %s -verify-diagnostics -split-input-file

// expected-error @below {{argument of type 'i32'; buffers are memrefs of static shape and identity layout}}
plan.kernel @scalar_argument {
^bb0(%a: i32):
  plan.rows 1 per_task 1 parallel {
  ^bb0(%r: index):
  }
}

// -----

// expected-error @below {{argument of type 'memref<?xf32>'; buffers are memrefs of static shape}}
plan.kernel @dynamic_argument {
^bb0(%a: memref<?xf32>):
  plan.rows 1 per_task 1 parallel {
  ^bb0(%r: index):
  }
}

// -----

// expected-error @below {{buffers are memrefs of static shape and identity layout}}
plan.kernel @strided_argument {
^bb0(%a: memref<4x4xf32, strided<[8, 1]>>):
  plan.rows 1 per_task 1 parallel {
  ^bb0(%r: index):
  }
}

// -----

// expected-error @below {{must end with plan.rows, plan.matmul, plan.attention or plan.attention_grad}}
plan.kernel @no_work {
^bb0(%a: memref<4xf32>):
  %c = arith.constant 1.0 : f32
}

// -----

plan.kernel @work_beside_constants {
^bb0(%a: memref<4xf32>):
  %c = arith.constant 1.0 : f32
  // expected-error @below {{stands beside a kernel's work; only constants may}}
  %d = arith.addf %c, %c : f32
  plan.rows 1 per_task 1 parallel {
  ^bb0(%r: index):
  }
}

// -----

plan.kernel @no_rows {
^bb0(%a: memref<4xf32>):
  // expected-error @below {{rows and per_task must be positive}}
  plan.rows 0 per_task 1 parallel {
  ^bb0(%r: index):
  }
}

// -----

plan.kernel @rows_beyond_what_is_loaded {
^bb0(%a: memref<2x4xf32>, %b: memref<3x4xf32>):
  plan.rows 3 per_task 1 parallel {
  ^bb0(%r: index):
    // expected-error @below {{goes through 3 rows, and 'memref<2x4xf32>' has fewer}}
    %0 = plan.load %a[%r] : memref<2x4xf32> -> tensor<4xf32>
    plan.store %0, %b[%r] : tensor<4xf32>, memref<3x4xf32>
  }
}

// -----

plan.kernel @rows_beyond_what_is_stored {
^bb0(%a: memref<3x4xf32>, %b: memref<2x4xf32>):
  plan.rows 3 per_task 1 parallel {
  ^bb0(%r: index):
    %0 = plan.load %a[%r] : memref<3x4xf32> -> tensor<4xf32>
    // expected-error @below {{goes through 3 rows, and 'memref<2x4xf32>' has fewer}}
    plan.store %0, %b[%r] : tensor<4xf32>, memref<2x4xf32>
  }
}

// -----

// expected-error @below {{batch and sequence must be positive}}
plan.entry @no_tokens kind(step) batch 0 sequence 8 flops 0.0 {
}

// -----

plan.entry @unknown_size kind(step) batch 1 sequence 8 flops 0.0 {
  // expected-error @below {{must be memref of static shape, of less than 2^60 bytes, of f32, bf16, f64, i32, i64 or i8 values, but got 'memref<?x4xf32>'}}
  %x = plan.alloc "x" : memref<?x4xf32>
}

// -----

plan.entry @too_large kind(step) batch 1 sequence 8 flops 0.0 {
  // expected-error @below {{must be memref of static shape, of less than 2^60 bytes}}
  %x = plan.alloc "x" : memref<4611686018427387904x4xf32>
}

// -----

plan.kernel @no_row_argument {
^bb0(%a: memref<4xf32>):
  // expected-error @below {{body takes the row as its one argument, an index}}
  plan.rows 1 per_task 1 parallel {
  ^bb0(%r: i32):
  }
}

// -----

plan.kernel @two_widths {
^bb0(%a: memref<2x4xf32>, %b: memref<2x8xf32>):
  plan.rows 2 per_task 1 parallel {
  ^bb0(%r: index):
    // expected-error @below {{has a row value of type 'tensor<4xf32>' in a body of 8 columns}}
    %0 = plan.load %a[%r] : memref<2x4xf32> -> tensor<4xf32>
    %1 = plan.load %b[%r] : memref<2x8xf32> -> tensor<8xf32>
  }
}

// -----

plan.kernel @sequential_reduction {
^bb0(%a: memref<2x4xf32>):
  plan.rows 2 per_task 1 sequential {
  ^bb0(%r: index):
    %0 = plan.load %a[%r] : memref<2x4xf32> -> tensor<4xf32>
    // expected-error @below {{is not allowed where rows are sequential}}
    %1 = plan.reduce add %0 : tensor<4xf32> -> f32
  }
}

// -----

plan.kernel @sequential_accumulation {
^bb0(%a: memref<2x4xf32>, %p: memref<2x4xf32>):
  plan.rows 2 per_task 1 sequential {
  ^bb0(%r: index):
    %0 = plan.load %a[%r] : memref<2x4xf32> -> tensor<4xf32>
    // expected-error @below {{is not allowed where rows are sequential}}
    plan.accumulate %0, %p : tensor<4xf32>, memref<2x4xf32>
  }
}

// -----

plan.kernel @scatter_in_parallel {
^bb0(%a: memref<2x4xf32>, %t: memref<3x4xf32>):
  plan.rows 2 per_task 2 parallel {
  ^bb0(%r: index):
    %0 = plan.load %a[%r] : memref<2x4xf32> -> tensor<4xf32>
    // expected-error @below {{must be inside sequential plan.rows}}
    plan.scatter %0, %t[%r] : tensor<4xf32>, memref<3x4xf32>
  }
}

// -----

plan.kernel @scatter_beside_a_store {
^bb0(%a: memref<2x4xf32>, %t: memref<3x4xf32>):
  plan.rows 2 per_task 2 sequential {
  ^bb0(%r: index):
    %0 = plan.load %a[%r] : memref<2x4xf32> -> tensor<4xf32>
    plan.store %0, %a[%r] : tensor<4xf32>, memref<2x4xf32>
    // expected-error @below {{must be all that its rows write}}
    plan.scatter %0, %t[%r] : tensor<4xf32>, memref<3x4xf32>
  }
}

// -----

plan.kernel @scatter_beside_a_load {
^bb0(%a: memref<2x4xf32>, %t: memref<3x4xf32>):
  plan.rows 2 per_task 2 sequential {
  ^bb0(%r: index):
    %0 = plan.load %a[%r] : memref<2x4xf32> -> tensor<4xf32>
    %1 = plan.load %t[%r] : memref<3x4xf32> -> tensor<4xf32>
    // expected-error @below {{must be all that uses its buffer}}
    plan.scatter %0, %t[%r] : tensor<4xf32>, memref<3x4xf32>
  }
}

// -----

plan.kernel @scatter_of_other_columns {
^bb0(%a: memref<2x4xf32>, %t: memref<3x5xf32>):
  plan.rows 2 per_task 2 sequential {
  ^bb0(%r: index):
    %0 = plan.load %a[%r] : memref<2x4xf32> -> tensor<4xf32>
    // expected-error @below {{adds rows of 4 columns into 'memref<3x5xf32>'}}
    plan.scatter %0, %t[%r] : tensor<4xf32>, memref<3x5xf32>
  }
}

// -----

plan.kernel @scatter_of_another_type {
^bb0(%a: memref<2x4xf64>, %t: memref<3x4xbf16>):
  plan.rows 2 per_task 2 sequential {
  ^bb0(%r: index):
    %0 = plan.load %a[%r] : memref<2x4xf64> -> tensor<4xf64>
    // expected-error @below {{adds 'f64' up into 'bf16'}}
    plan.scatter %0, %t[%r] : tensor<4xf64>, memref<3x4xbf16>
  }
}

// -----

plan.kernel @too_many_indices {
^bb0(%a: memref<2x4xf32>):
  plan.rows 2 per_task 1 parallel {
  ^bb0(%r: index):
    // expected-error @below {{takes 1 indices for a row of 'memref<2x4xf32>'}}
    %0 = plan.load %a[%r, %r] : memref<2x4xf32> -> tensor<4xf32>
  }
}

// -----

plan.kernel @too_few_indices {
^bb0(%a: memref<2x4xf32>):
  plan.rows 2 per_task 1 parallel {
  ^bb0(%r: index):
    // expected-error @below {{takes 2 indices for a element of 'memref<2x4xf32>'}}
    %0 = plan.load %a[%r] : memref<2x4xf32> -> f32
  }
}

// -----

plan.kernel @load_converts_nothing {
^bb0(%a: memref<2x4xbf16>):
  plan.rows 2 per_task 1 parallel {
  ^bb0(%r: index):
    // expected-error @below {{moves 'f32' but the buffer holds 'bf16'}}
    %0 = plan.load %a[%r] : memref<2x4xbf16> -> tensor<4xf32>
  }
}

// -----

plan.kernel @store_converts_nothing {
^bb0(%a: memref<2x4xf32>, %b: memref<2x4xbf16>):
  plan.rows 2 per_task 1 parallel {
  ^bb0(%r: index):
    %0 = plan.load %a[%r] : memref<2x4xf32> -> tensor<4xf32>
    // expected-error @below {{moves 'f32' but the buffer holds 'bf16'}}
    plan.store %0, %b[%r] : tensor<4xf32>, memref<2x4xbf16>
  }
}

// -----

plan.kernel @element_with_offset {
^bb0(%a: memref<4xf32>):
  plan.rows 4 per_task 1 parallel {
  ^bb0(%r: index):
    // expected-error @below {{an element access has no column offset}}
    %0 = plan.load %a[%r] offset 2 : memref<4xf32> -> f32
  }
}

// -----

plan.kernel @columns_outside {
^bb0(%a: memref<2x4xf32>):
  plan.rows 2 per_task 1 parallel {
  ^bb0(%r: index):
    // expected-error @below {{columns 3 to 5 are outside 'memref<2x4xf32>'}}
    %0 = plan.load %a[%r] offset 3 : memref<2x4xf32> -> tensor<2xf32>
  }
}

// -----

plan.kernel @negative_columns {
^bb0(%a: memref<2x4xf32>, %b: memref<2x2xf32>):
  plan.rows 2 per_task 1 parallel {
  ^bb0(%r: index):
    %0 = plan.load %b[%r] : memref<2x2xf32> -> tensor<2xf32>
    // expected-error @below {{columns -1 to 1 are outside 'memref<2x4xf32>'}}
    plan.store %0, %a[%r] offset -1 : tensor<2xf32>, memref<2x4xf32>
  }
}

// -----

plan.kernel @partials_of_other_tasks {
^bb0(%a: memref<8x4xf32>, %p: memref<8x4xf32>):
  plan.rows 8 per_task 4 parallel {
  ^bb0(%r: index):
    %0 = plan.load %a[%r] : memref<8x4xf32> -> tensor<4xf32>
    // expected-error @below {{adds into 'memref<8x4xf32>'; it needs one row for each of 2 tasks}}
    plan.accumulate %0, %p : tensor<4xf32>, memref<8x4xf32>
  }
}

// -----

plan.kernel @scalar_partials {
^bb0(%a: memref<8xf32>, %p: memref<2x1xf32>):
  plan.rows 8 per_task 4 parallel {
  ^bb0(%r: index):
    %0 = plan.load %a[%r] : memref<8xf32> -> f32
    // expected-error @below {{it needs one element for each of 2 tasks}}
    plan.accumulate %0, %p : f32, memref<2x1xf32>
  }
}

// -----

plan.kernel @partials_of_other_type {
^bb0(%a: memref<8x4xf32>, %p: memref<2x4xf64>):
  plan.rows 8 per_task 4 parallel {
  ^bb0(%r: index):
    %0 = plan.load %a[%r] : memref<8x4xf32> -> tensor<4xf32>
    // expected-error @below {{adds 'f32' into 'memref<2x4xf64>'}}
    plan.accumulate %0, %p : tensor<4xf32>, memref<2x4xf64>
  }
}

// -----

plan.kernel @accumulate_outside_rows {
^bb0(%a: memref<4x4xf32>, %p: memref<1xf32>):
  plan.matmul %a, %a, %a : memref<4x4xf32>, memref<4x4xf32>, memref<4x4xf32> read_a {} read_b {} store_c {
  ^bb0(%s: f32):
    // expected-error @below {{must be inside plan.rows}}
    plan.accumulate %s, %p : f32, memref<1xf32>
    plan.yield %s : f32
  }
}

// -----

plan.kernel @product_of_vectors {
^bb0(%a: memref<4xf32>, %b: memref<4x4xf32>, %c: memref<4x4xf32>):
  // expected-error @below {{works on matrices}}
  plan.matmul %a, %b, %c : memref<4xf32>, memref<4x4xf32>, memref<4x4xf32> read_a {} read_b {} store_c {}
}

// -----

plan.kernel @product_of_different_k {
^bb0(%a: memref<4x8xf32>, %b: memref<4x8xf32>, %c: memref<4x8xf32>):
  // expected-error @below {{sums over 8 elements of a but 4 of b}}
  plan.matmul %a, %b, %c : memref<4x8xf32>, memref<4x8xf32>, memref<4x8xf32> read_a {} read_b {} store_c {}
}

// -----

plan.kernel @pair_of_one {
^bb0(%a: memref<4x8xf32>, %b: memref<8x6xf32>, %c: memref<4x6xf32>, %p: memref<4x2xf32>):
  // expected-error @below {{has 1 buffers of a second product; it takes two}}
  plan.matmul %a, %b, %c pair(%p : memref<4x2xf32>) : memref<4x8xf32>, memref<8x6xf32>, memref<4x6xf32> read_a {} read_b {} store_c {}
}

// -----

plan.kernel @pair_of_none {
^bb0(%a: memref<4x8xf32>, %b: memref<8x6xf32>, %c: memref<4x6xf32>):
  // expected-error @below {{has no second product to transpose}}
  plan.matmul %a, %b, %c transpose_pair : memref<4x8xf32>, memref<8x6xf32>, memref<4x6xf32> read_a {} read_b {} store_c {}
}

// -----

plan.kernel @pair_of_vectors {
^bb0(%a: memref<4x8xf32>, %b: memref<8x6xf32>, %c: memref<4x6xf32>, %p: memref<4xf32>, %q: memref<2x6xf32>):
  // expected-error @below {{works on matrices}}
  plan.matmul %a, %b, %c pair(%p, %q : memref<4xf32>, memref<2x6xf32>) : memref<4x8xf32>, memref<8x6xf32>, memref<4x6xf32> read_a {} read_b {} store_c {}
}

// -----

plan.kernel @pair_of_other_shape {
^bb0(%a: memref<4x8xf32>, %b: memref<8x6xf32>, %c: memref<4x6xf32>, %p: memref<4x2xf32>, %q: memref<2x6xf32>):
  // expected-error @below {{has a second product of 'memref<4x2xf32>' and 'memref<2x6xf32>' but c is 'memref<4x6xf32>'}}
  plan.matmul %a, %b, %c pair(%p, %q : memref<4x2xf32>, memref<2x6xf32>) transpose_pair : memref<4x8xf32>, memref<8x6xf32>, memref<4x6xf32> read_a {} read_b {} store_c {}
}

// -----

plan.kernel @pair_of_integers {
^bb0(%a: memref<4x8xf32>, %b: memref<8x6xf32>, %c: memref<4x6xf32>, %p: memref<4x2xi8>, %q: memref<2x6xf32>):
  // expected-error @below {{has a second product of 'i8'; it takes f32 and bf16}}
  plan.matmul %a, %b, %c pair(%p, %q : memref<4x2xi8>, memref<2x6xf32>) : memref<4x8xf32>, memref<8x6xf32>, memref<4x6xf32> read_a {} read_b {} store_c {}
}

// -----

plan.kernel @product_into_other_shape {
^bb0(%a: memref<4x8xf32>, %b: memref<8x6xf32>, %c: memref<6x4xf32>):
  // expected-error @below {{gives 4 x 6 but c is 'memref<6x4xf32>'}}
  plan.matmul %a, %b, %c : memref<4x8xf32>, memref<8x6xf32>, memref<6x4xf32> read_a {} read_b {} store_c {}
}

// -----

plan.kernel @extra_of_other_shape {
^bb0(%a: memref<4x8xf32>, %b: memref<8x6xf32>, %c: memref<4x6xf32>, %x: memref<4x8xf32>):
  // expected-error @below {{extra of type 'memref<4x8xf32>' is not shaped like c, 'memref<4x6xf32>'}}
  plan.matmul %a, %b, %c extras(%x : memref<4x8xf32>) : memref<4x8xf32>, memref<8x6xf32>, memref<4x6xf32>
    read_a {} read_b {} store_c {}
}

// -----

plan.kernel @seam_that_does_not_convert {
^bb0(%a: memref<4x8xbf16>, %b: memref<8x6xf32>, %c: memref<4x6xf32>):
  // expected-error @below {{read_a is empty but has to map 'bf16' to 'f32'}}
  plan.matmul %a, %b, %c : memref<4x8xbf16>, memref<8x6xf32>, memref<4x6xf32> read_a {} read_b {} store_c {}
}

// -----

plan.kernel @seam_without_the_extra {
^bb0(%a: memref<4x8xf32>, %b: memref<8x6xf32>, %c: memref<4x6xf32>, %x: memref<4x6xf32>):
  // expected-error @below {{store_c must be one block over the stored elements}}
  plan.matmul %a, %b, %c extras(%x : memref<4x6xf32>) : memref<4x8xf32>, memref<8x6xf32>, memref<4x6xf32>
    read_a {} read_b {} store_c {
    ^bb0(%s: f32):
      plan.yield %s : f32
    }
}

// -----

plan.kernel @seam_of_other_result {
^bb0(%a: memref<4x8xf32>, %b: memref<8x6xf32>, %c: memref<4x6xbf16>):
  // expected-error @below {{store_c must yield 'bf16'}}
  plan.matmul %a, %b, %c : memref<4x8xf32>, memref<8x6xf32>, memref<4x6xbf16>
    read_a {} read_b {} store_c {
    ^bb0(%s: f32):
      plan.yield %s : f32
    }
}

// -----

plan.kernel @attention_output {
^bb0(%q: memref<8x8xf32>, %k: memref<8x4xf32>, %s: memref<8xi32>, %o: memref<8x4xf32>, %l: memref<8x2xf32>):
  // expected-error @below {{output is not shaped like query}}
  plan.attention %q, %k, %k, %s, %o, %l batch 2 heads 2 kv_heads 1 scale 0.5
    : memref<8x8xf32>, memref<8x4xf32>, memref<8x4xf32>, memref<8xi32>, memref<8x4xf32>, memref<8x2xf32>
}

// -----

plan.kernel @attention_value {
^bb0(%q: memref<8x8xf32>, %k: memref<8x4xf32>, %v: memref<8x8xf32>, %s: memref<8xi32>, %l: memref<8x2xf32>, %o: memref<8x8xf32>):
  // expected-error @below {{key and value of one shape}}
  plan.attention %q, %k, %v, %s, %o, %l batch 2 heads 2 kv_heads 1 scale 0.5
    : memref<8x8xf32>, memref<8x4xf32>, memref<8x8xf32>, memref<8xi32>, memref<8x8xf32>, memref<8x2xf32>
}

// -----

plan.kernel @attention_batch {
^bb0(%q: memref<8x8xf32>, %k: memref<8x4xf32>, %s: memref<8xi32>, %o: memref<8x8xf32>, %l: memref<8x2xf32>):
  // expected-error @below {{rows 8 are not a multiple of batch 3}}
  plan.attention %q, %k, %k, %s, %o, %l batch 3 heads 2 kv_heads 1 scale 0.5
    : memref<8x8xf32>, memref<8x4xf32>, memref<8x4xf32>, memref<8xi32>, memref<8x8xf32>, memref<8x2xf32>
}

// -----

plan.kernel @attention_heads {
^bb0(%q: memref<8x8xf32>, %k: memref<8x4xf32>, %s: memref<8xi32>, %o: memref<8x8xf32>, %l: memref<8x4xf32>):
  // expected-error @below {{heads 4 are not a multiple of kv_heads 3}}
  plan.attention %q, %k, %k, %s, %o, %l batch 2 heads 4 kv_heads 3 scale 0.5
    : memref<8x8xf32>, memref<8x4xf32>, memref<8x4xf32>, memref<8xi32>, memref<8x8xf32>, memref<8x4xf32>
}

// -----

plan.kernel @attention_columns {
^bb0(%q: memref<8x8xf32>, %k: memref<8x4xf32>, %s: memref<8xi32>, %o: memref<8x8xf32>, %l: memref<8x2xf32>):
  // expected-error @below {{columns of query and key do not agree with heads and kv_heads}}
  plan.attention %q, %k, %k, %s, %o, %l batch 2 heads 2 kv_heads 2 scale 0.5
    : memref<8x8xf32>, memref<8x4xf32>, memref<8x4xf32>, memref<8xi32>, memref<8x8xf32>, memref<8x2xf32>
}

// -----

plan.kernel @attention_statistics {
^bb0(%q: memref<8x8xf32>, %k: memref<8x4xf32>, %s: memref<8xi32>, %o: memref<8x8xf32>, %l: memref<2x8xf32>):
  // expected-error @below {{segment_starts is [rows] and lse is [rows, heads]}}
  plan.attention %q, %k, %k, %s, %o, %l batch 2 heads 2 kv_heads 1 scale 0.5
    : memref<8x8xf32>, memref<8x4xf32>, memref<8x4xf32>, memref<8xi32>, memref<8x8xf32>, memref<2x8xf32>
}

// -----

plan.kernel @attention_elements {
^bb0(%q: memref<8x8xf32>, %k: memref<8x4xbf16>, %s: memref<8xi32>, %o: memref<8x8xf32>, %l: memref<8x2xf32>):
  // expected-error @below {{elements of query, key and value are all f32 or all bf16, not 'f32', 'bf16' and 'bf16'}}
  plan.attention %q, %k, %k, %s, %o, %l batch 2 heads 2 kv_heads 1 scale 0.5
    : memref<8x8xf32>, memref<8x4xbf16>, memref<8x4xbf16>, memref<8xi32>, memref<8x8xf32>, memref<8x2xf32>
}

// -----

plan.kernel @attention_in_fp64 {
^bb0(%q: memref<8x8xf64>, %k: memref<8x4xf64>, %s: memref<8xi32>, %o: memref<8x8xf64>, %l: memref<8x2xf32>):
  // expected-error @below {{elements of query, key and value are all f32 or all bf16, not 'f64', 'f64' and 'f64'}}
  plan.attention %q, %k, %k, %s, %o, %l batch 2 heads 2 kv_heads 1 scale 0.5
    : memref<8x8xf64>, memref<8x4xf64>, memref<8x4xf64>, memref<8xi32>, memref<8x8xf64>, memref<8x2xf32>
}

// -----

plan.kernel @attention_rounded_lse {
^bb0(%q: memref<8x8xbf16>, %k: memref<8x4xbf16>, %s: memref<8xi64>, %o: memref<8x8xbf16>, %l: memref<8x2xbf16>):
  // expected-error @below {{segment_starts is of i32 and lse of f32, not 'i64' and 'bf16'}}
  plan.attention %q, %k, %k, %s, %o, %l batch 2 heads 2 kv_heads 1 scale 0.5
    : memref<8x8xbf16>, memref<8x4xbf16>, memref<8x4xbf16>, memref<8xi64>, memref<8x8xbf16>, memref<8x2xbf16>
}

// -----

plan.kernel @attention_window {
^bb0(%q: memref<8x8xf32>, %k: memref<8x4xf32>, %s: memref<8xi32>, %o: memref<8x8xf32>, %l: memref<8x2xf32>):
  // expected-error @below {{window 0 hides a token from itself; it must be at least 1}}
  plan.attention %q, %k, %k, %s, %o, %l batch 2 heads 2 kv_heads 1 scale 0.5 window 0
    : memref<8x8xf32>, memref<8x4xf32>, memref<8x4xf32>, memref<8xi32>, memref<8x8xf32>, memref<8x2xf32>
}

// -----

plan.kernel @attention_softcap {
^bb0(%q: memref<8x8xf32>, %k: memref<8x4xf32>, %s: memref<8xi32>, %o: memref<8x8xf32>, %l: memref<8x2xf32>):
  // expected-error @below {{softcap -1.000000e+00 is not a positive number}}
  plan.attention %q, %k, %k, %s, %o, %l batch 2 heads 2 kv_heads 1 scale 0.5 softcap -1.0
    : memref<8x8xf32>, memref<8x4xf32>, memref<8x4xf32>, memref<8xi32>, memref<8x8xf32>, memref<8x2xf32>
}

// -----

plan.kernel @attention_grad_window {
^bb0(%q: memref<8x8xf32>, %k: memref<8x4xf32>, %s: memref<8xi32>, %l: memref<8x2xf32>, %dq: memref<8x8xf32>, %dk: memref<8x4xf32>, %dv: memref<8x4xf32>):
  // expected-error @below {{window -1 hides a token from itself; it must be at least 1}}
  plan.attention_grad %q, %k, %k, %s, %q, %l, %q, %dq, %dk, %dv batch 2 heads 2 kv_heads 1 scale 0.5 window -1
    : memref<8x8xf32>, memref<8x4xf32>, memref<8x4xf32>, memref<8xi32>, memref<8x8xf32>, memref<8x2xf32>,
      memref<8x8xf32>, memref<8x8xf32>, memref<8x4xf32>, memref<8x4xf32>
}

// -----

plan.kernel @attention_grad_of_query {
^bb0(%q: memref<8x8xf32>, %k: memref<8x4xf32>, %s: memref<8xi32>, %l: memref<8x2xf32>, %dq: memref<8x4xf32>, %dk: memref<8x4xf32>, %dv: memref<8x4xf32>):
  // expected-error @below {{output and gradients are not shaped like query}}
  plan.attention_grad %q, %k, %k, %s, %q, %l, %q, %dq, %dk, %dv batch 2 heads 2 kv_heads 1 scale 0.5
    : memref<8x8xf32>, memref<8x4xf32>, memref<8x4xf32>, memref<8xi32>, memref<8x8xf32>, memref<8x2xf32>,
      memref<8x8xf32>, memref<8x4xf32>, memref<8x4xf32>, memref<8x4xf32>
}

// -----

plan.kernel @attention_grad_of_key {
^bb0(%q: memref<8x8xf32>, %k: memref<8x4xf32>, %s: memref<8xi32>, %l: memref<8x2xf32>, %dq: memref<8x8xf32>, %dk: memref<8x8xf32>, %dv: memref<8x4xf32>):
  // expected-error @below {{gradients of key and value are not shaped like key}}
  plan.attention_grad %q, %k, %k, %s, %q, %l, %q, %dq, %dk, %dv batch 2 heads 2 kv_heads 1 scale 0.5
    : memref<8x8xf32>, memref<8x4xf32>, memref<8x4xf32>, memref<8xi32>, memref<8x8xf32>, memref<8x2xf32>,
      memref<8x8xf32>, memref<8x8xf32>, memref<8x8xf32>, memref<8x4xf32>
}

// -----

plan.entry @columns kind(step) batch 2 sequence 8 flops 0.0 {
  %a = plan.alloc "a" : memref<16x8xf32>
  // expected-error @below {{gives 'memref<8x4xf32>', which is not made of rows of 'memref<16x8xf32>'}}
  %b = plan.slice %a[0] : memref<16x8xf32> to memref<8x4xf32>
}

// -----

plan.entry @rows kind(step) batch 2 sequence 8 flops 0.0 {
  %a = plan.alloc "a" : memref<16x8xf32>
  // expected-error @below {{takes rows 12 to 20 of 'memref<16x8xf32>'}}
  %b = plan.slice %a[12] : memref<16x8xf32> to memref<8x8xf32>
}

// -----

plan.entry @scalar kind(step) batch 2 sequence 8 flops 0.0 {
  %a = plan.alloc "a" : memref<f32>
  // expected-error @below {{gives 'memref<f32>', which is not made of rows of 'memref<f32>'}}
  %b = plan.slice %a[0] : memref<f32> to memref<f32>
}

// -----

plan.entry @copy_out kind(step) batch 2 sequence 8 flops 0.0 {
  %a = plan.alloc "a" : memref<16x8xf32>
  %f = plan.alloc far "f" : memref<8x8xf32>
  // expected-error @below {{failed to verify that all of {near, far} have same type}}
  %e = "plan.copy_out"(%a, %f) : (memref<16x8xf32>, memref<8x8xf32>) -> !plan.event
}

// -----

plan.entry @copy_in kind(step) batch 2 sequence 8 flops 0.0 {
  %a = plan.alloc "a" : memref<16x8xf32>
  %f = plan.alloc far "f" : memref<8x8xf32>
  // expected-error @below {{failed to verify that all of {near, far} have same type}}
  %e = "plan.copy_in"(%f, %a) : (memref<8x8xf32>, memref<16x8xf32>) -> !plan.event
}

// -----

// What the host gives an entry are plan.inputs.
plan.slab @near bytes 65536 alignment 64
plan.kernel @k {
^bb0(%a: memref<16x64xf32>):
  plan.rows 16 per_task 4 parallel {
  ^bb0(%r: index):
    %x = plan.load %a[%r] : memref<16x64xf32> -> tensor<64xf32>
    plan.store %x, %a[%r] : tensor<64xf32>, memref<16x64xf32>
  }
}
// expected-error @below {{takes no arguments; what the host gives it are plan.inputs}}
plan.entry @step kind(step) batch 1 sequence 16 flops 0.0 {
^bb0(%b: memref<16x64xf32>):
  plan.launch @k(%b) "t" : memref<16x64xf32>
  plan.output "y", %b : memref<16x64xf32>
}

// -----

// A kernel has no memory but its arguments.
plan.slab @near bytes 4096 alignment 64
plan.kernel @k {
^bb0(%a: memref<16x64xf32>):
  plan.rows 16 per_task 4 parallel {
  ^bb0(%r: index):
    // expected-error @below {{expects parent op 'plan.entry'}}
    %t = plan.alloc "hidden" : memref<16x64xf32>
    %x = plan.load %a[%r] : memref<16x64xf32> -> tensor<64xf32>
    plan.store %x, %t[%r] : tensor<64xf32>, memref<16x64xf32>
    plan.store %x, %a[%r] : tensor<64xf32>, memref<16x64xf32>
  }
}
plan.entry @step kind(step) batch 1 sequence 16 flops 0.0 {
  %x = plan.input "x" : memref<16x64xf32> at @near[0]
  plan.launch @k(%x) "t" : memref<16x64xf32>
  plan.output "y", %x : memref<16x64xf32>
}

// -----

plan.slab @near bytes 16384 alignment 64
plan.variable @w : memref<16x64xf32> constant init #train.zeros at @near[0]
plan.kernel @k {
^bb0(%a: memref<16x64xf32>):
  plan.rows 16 per_task 4 parallel {
  ^bb0(%r: index):
    // expected-error @below {{expects parent op 'plan.entry'}}
    %t = plan.view @near[0] "hidden" : memref<16x64xf32>
    %g = plan.get @w : memref<16x64xf32>
    %x = plan.load %a[%r] : memref<16x64xf32> -> tensor<64xf32>
    plan.store %x, %t[%r] : tensor<64xf32>, memref<16x64xf32>
    plan.store %x, %g[%r] : tensor<64xf32>, memref<16x64xf32>
  }
}
plan.entry @step kind(step) batch 1 sequence 16 flops 0.0 {
  %x = plan.input "x" : memref<16x64xf32> at @near[4096]
  plan.launch @k(%x) "t" : memref<16x64xf32>
  plan.output "y", %x : memref<16x64xf32>
}

// -----

plan.slab @near bytes 65536 alignment 64
plan.kernel @k {
^bb0(%a: memref<16x64xf32>, %b: memref<16x64xf32>):
  plan.rows 16 per_task 4 parallel {
  ^bb0(%r: index):
    // expected-error @below {{expects parent op 'plan.entry'}}
    %s = plan.slice %a[0] : memref<16x64xf32> to memref<16x64xf32>
    %x = plan.load %s[%r] : memref<16x64xf32> -> tensor<64xf32>
    plan.store %x, %b[%r] : tensor<64xf32>, memref<16x64xf32>
  }
}
plan.entry @step kind(step) batch 1 sequence 16 flops 0.0 {
  %v = plan.view @near[0] "never written" : memref<16x64xf32>
  %y = plan.view @near[4096] "y" : memref<16x64xf32>
  plan.launch @k(%v, %y) "t" : memref<16x64xf32>, memref<16x64xf32>
  plan.output "y", %y : memref<16x64xf32>
}

// -----

plan.kernel @k {
^bb0(%a: memref<16x64xf32>, %b: memref<128x64xf32>, %c: memref<16x128xf32>):
  // expected-error @below {{read_a must end with plan.yield}}
  "plan.matmul"(%a, %b, %c) <{operandSegmentSizes = array<i32: 1,1,1,0,0,0,0>, transpose_b}> ({
  ^bb0(%e: f32):
  }, {}, {}) : (memref<16x64xf32>, memref<128x64xf32>, memref<16x128xf32>) -> ()
}

// -----

plan.kernel @k {
^bb0(%a: memref<16x64xf32>, %b: memref<128x64xf32>, %c: memref<16x128xf32>):
  // expected-error @below {{read_a must end with plan.yield}}
  plan.matmul %a, %b, %c transpose_b : memref<16x64xf32>, memref<128x64xf32>, memref<16x128xf32> read_a {
  ^bb0(%e: f32):
    %s = arith.addf %e, %e : f32
  } read_b {} store_c {}
}

// -----

plan.slab @near bytes 65536 alignment 64
// expected-error @below {{has half a place: a slab and an offset belong together}}
"plan.variable"() <{sym_name = "w", type = memref<16x64xf32>, role = #plan<role parameter>, init = #train.zeros, slab = @near}> : () -> ()

// -----

plan.slab @near bytes 65536 alignment 64
"plan.entry"() <{sym_name = "step", kind = #plan<entry_kind step>, batch = 1 : i64, sequence = 16 : i64, flops = 0.0 : f64}> ({
  // expected-error @below {{has half a place: a slab and an offset belong together}}
  %x = "plan.input"() <{name = "x", slab = @near}> : () -> memref<4xf32>
}) : () -> ()

// -----

plan.slab @near bytes 65536 alignment 64
plan.kernel @k {
^bb0(%a: memref<16x64xf32>, %b: memref<16xf64>):
  plan.rows 16 per_task 4 parallel {
  ^bb0(%r: index):
    %x = plan.load %a[%r] : memref<16x64xf32> -> tensor<64xf32>
    // expected-error @below {{failed to verify that the result has the type of the row's elements}}
    %s = plan.reduce add %x : tensor<64xf32> -> f64
    plan.store %s, %b[%r] : f64, memref<16xf64>
  }
}
plan.entry @step kind(step) batch 1 sequence 16 flops 0.0 {
  %x = plan.input "x" : memref<16x64xf32> at @near[0]
  %y = plan.view @near[4096] "y" : memref<16xf64>
  plan.launch @k(%x, %y) "t" : memref<16x64xf32>, memref<16xf64>
  plan.output "y", %y : memref<16xf64>
}

// -----

plan.slab @near bytes 65536 alignment 64
plan.kernel @k {
^bb0(%a: memref<16x64xi32>):
  %c = arith.constant 1.0 : f32
  plan.rows 16 per_task 4 parallel {
  ^bb0(%r: index):
    // expected-error @below {{failed to verify that the row's elements have the type of the value}}
    %s = plan.broadcast %c : f32 -> tensor<64xi32>
    plan.store %s, %a[%r] : tensor<64xi32>, memref<16x64xi32>
  }
}
plan.entry @step kind(step) batch 1 sequence 16 flops 0.0 {
  %x = plan.input "x" : memref<16x64xi32> at @near[0]
  plan.launch @k(%x) "t" : memref<16x64xi32>
  plan.output "y", %x : memref<16x64xi32>
}

// -----

plan.kernel @row_of_a_scalar {
^bb0(%a: memref<f32>):
  plan.rows 16 per_task 4 parallel {
  ^bb0(%r: index):
    // expected-error @below {{moves a row, and 'memref<f32>' has none}}
    %x = plan.load %a[] : memref<f32> -> tensor<4xf32>
  }
}

// -----

plan.kernel @index_of_a_scalar {
^bb0(%a: memref<f32>):
  plan.rows 16 per_task 4 parallel {
  ^bb0(%r: index):
    // expected-error @below {{takes 0 indices for a element of 'memref<f32>'}}
    %x = plan.load %a[%r] : memref<f32> -> f32
  }
}
