//===- PlanOps.td - Operations of the plan dialect ------------*- tablegen -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_PLAN_OPS_TD
#define FTC_PLAN_OPS_TD

include "dialects/Plan/IR/PlanDialect.td"
include "mlir/IR/BuiltinAttributes.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/FunctionInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

class Plan_Op<string mnemonic, list<Trait> traits = []> : Op<Plan_Dialect, mnemonic, traits>;
// Buffers, launches and copies stand in entries: a kernel has no memory but its arguments.
class Plan_EntryOp<string mnemonic, list<Trait> traits = []>
    : Plan_Op<mnemonic, !listconcat([HasParent<"EntryOp">], traits)>;

// Its bytes are known and can be added up.
def Plan_Buffer : ConfinedType<MemRefOf<[F32, BF16, F64, I32, I64, I8]>, [CPred<"::ftc::plan::hasKnownBytes($_self)">],
                               "memref of static shape, of less than 2^60 bytes, of f32, bf16, f64, i32, i64 or i8 values">;
def Plan_RowOrScalar : AnyTypeOf<[F32, BF16, F64, I32, I64, 1DTensorOf<[F32, BF16, F64, I32, I8]>]>;

//===----------------------------------------------------------------------===//
// Symbols
//===----------------------------------------------------------------------===//

def SlabOp : Plan_Op<"slab", [Symbol]> {
  let summary = "memory that the host takes once, before the first step";
  let description = [{
    `far`: bytes of the far tier, which have no address.

    ```mlir
    plan.slab @near bytes 1048576 alignment 64
    plan.slab @far far bytes 8388608 alignment 4096
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, I64Attr:$bytes, I64Attr:$alignment, UnitAttr:$far);
  let assemblyFormat = "$sym_name (`far` $far^)? `bytes` $bytes `alignment` $alignment attr-dict";
}

def VariableOp : Plan_Op<"variable", [Symbol]> {
  let summary = "a named buffer that outlives a call of the step";
  let description = [{
    `init` says how the host fills it (a `train` init attribute; the attribute is opaque here). `slab` and `offset` appear
    once it has a place. `far`: it lives in the far tier. `plan-stream-far-variables` puts near buffers between it and the
    launches that use it.

    ```mlir
    plan.variable @"model.norm.weight" : memref<64xf32> parameter init #train.ones trainable at @near[4096]
    plan.variable @"w.exp_avg" : memref<4096x64xf32> state init #train.zeros far at @far[0]
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttrOf<Plan_Buffer>:$type, Plan_RoleAttr:$role, AnyAttr:$init,
                       UnitAttr:$trainable, UnitAttr:$far, OptionalAttr<FlatSymbolRefAttr>:$slab,
                       OptionalAttr<I64Attr>:$offset);
  let hasVerifier = 1;
  let assemblyFormat = [{
    $sym_name `:` $type `` $role `init` $init (`trainable` $trainable^)? (`far` $far^)? (`at` $slab^ `[` $offset `]`)? attr-dict
  }];
  let extraClassDeclaration = [{
    ::mlir::MemRefType getBufferType() { return ::mlir::cast<::mlir::MemRefType>(getType()); }
  }];
}

def KernelOp : Plan_Op<"kernel", [Symbol, IsolatedFromAbove, SingleBlock, NoTerminator]> {
  let summary = "a computation over buffers, launched from entries";
  let description = [{
    Block arguments are buffers; distinct arguments never overlap unless a launch passes one buffer twice, which is allowed only
    where every row is read before it is written by the same row of a `plan.rows` (element-wise in place). The body is
    exactly one of `plan.rows`, `plan.matmul`, `plan.attention`, `plan.attention_grad`, preceded by nothing but constants.

    ```mlir
    plan.kernel @add_0 {
    ^bb0(%a: memref<16x64xf32>, %b: memref<16x64xf32>, %c: memref<16x64xf32>):
      plan.rows 16 per_task 4 parallel {
      ^bb0(%r: index):
        %0 = plan.load %a[%r] : memref<16x64xf32> -> tensor<64xf32>
        %1 = plan.load %b[%r] : memref<16x64xf32> -> tensor<64xf32>
        %2 = arith.addf %0, %1 : tensor<64xf32>
        plan.store %2, %c[%r] : tensor<64xf32>, memref<16x64xf32>
      }
    }
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "$sym_name attr-dict-with-keyword $body";
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    ::mlir::Block::BlockArgListType getBuffers() { return getBody().front().getArguments(); }
    /// Whether the body reads, and whether it writes, argument `index`.
    bool reads(unsigned index);
    bool writes(unsigned index);
    /// The op that does the work: plan.rows, plan.matmul, plan.attention or plan.attention_grad.
    ::mlir::Operation *getWork();
  }];
}

def EntryOp : Plan_Op<"entry", [Symbol, IsolatedFromAbove, SingleBlock, NoTerminator]> {
  let summary = "launches in execution order";
  let description = [{
    The body is straight-line: buffers, then launches. `flops` counts the necessary products (linear layers and head,
    forward and backward, causal attention), for reports.

    ```mlir
    plan.entry @step kind(step) batch 2 sequence 8 flops 1.0e9 {
      %t = plan.input "tokens" : memref<16xi32>
      ...
      plan.launch @add_0(%a, %b, %c) : memref<16x64xf32>, memref<16x64xf32>, memref<16x64xf32>
      plan.output "loss", %l : memref<f32>
    }
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Plan_EntryKindAttr:$kind, I64Attr:$batch, I64Attr:$sequence,
                       F64Attr:$flops);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    $sym_name `kind` `(` custom<Kind>($kind) `)` `batch` $batch `sequence` $sequence `flops` custom<Flops>($flops) attr-dict-with-keyword $body
  }];
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Buffers of an entry
//===----------------------------------------------------------------------===//

def AllocOp : Plan_EntryOp<"alloc", [MemoryEffects<[MemAlloc]>]> {
  let summary = "a buffer of this entry that has no place yet";
  let description = [{
    Lives from its first to its last launch or copy. `label` says in words what it holds. `far`: in the far tier.

    ```mlir
    %x = plan.alloc "layers.0 attention output" : memref<16x64xf32>
    %f = plan.alloc far "layers.0 attention output" : memref<16x64xf32>
    ```
  }];
  let arguments = (ins StrAttr:$label, UnitAttr:$far);
  let results = (outs Plan_Buffer:$buffer);
  let assemblyFormat = "(`far` $far^)? $label `:` type($buffer) attr-dict";
}

def InputOp : Plan_EntryOp<"input", [MemoryEffects<[MemAlloc]>]> {
  let summary = "a buffer that the host fills before the entry runs, or that holds a scalar input";
  let description = [{
    Scalar inputs of the ABI (`learning_rate`, `inv_tokens`, `step`, `micro`, `seed`, `row`, `position`) are copied to their
    place by the entry itself, before the first launch. Live from the start of the entry.  `slab` and `offset` appear once it has a place.

    ```mlir
    %t = plan.input "tokens" : memref<16xi32>
    ```
  }];
  let arguments = (ins StrAttr:$name, OptionalAttr<FlatSymbolRefAttr>:$slab, OptionalAttr<I64Attr>:$offset);
  let results = (outs Plan_Buffer:$buffer);
  let assemblyFormat = "$name `:` type($buffer) (`at` $slab^ `[` $offset `]`)? attr-dict";
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// Whether `name` is a scalar of ftrt_scalars.
    static bool isScalarName(::llvm::StringRef name);
  }];
}

def ReadVariableOp : Plan_EntryOp<"get", [MemoryEffects<[MemRead]>]> {
  let summary = "the buffer of a variable";
  let description = [{
    ```mlir
    %w = plan.get @"model.norm.weight" : memref<64xf32>
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$variable);
  let results = (outs Plan_Buffer:$buffer);
  let assemblyFormat = "$variable `:` type($buffer) attr-dict";
}

def ViewOp : Plan_EntryOp<"view"> {
  let summary = "a buffer at a place of a slab";
  let description = [{
    What `plan-assign-offsets` makes of `plan.alloc`. Two of them are two buffers, though they have one place and one label:
    each lives from its own first launch to its own last, so that they must not become one (an effect on what it gives
    keeps them apart, as with `plan.alloc`).

    ```mlir
    %x = plan.view @near[4096] "layers.0 attention output" : memref<16x64xf32>
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$slab, I64Attr:$offset, StrAttr:$label);
  let results = (outs Res<Plan_Buffer, "", [MemAlloc]>:$buffer);
  let assemblyFormat = "$slab `[` $offset `]` $label `:` type($buffer) attr-dict";
}

def SliceOp : Plan_EntryOp<"slice", [Pure]> {
  let summary = "consecutive rows of a buffer";
  let description = [{
    The memory of `source` from row `first` of its leading dimension on, as many rows as the result has: rows lie one
    after the other, so it is a buffer of identity layout at an offset. It lives as long as its source, which may be a slice
    too.

    ```mlir
    %c = plan.slice %x[4] : memref<16x64xf32> to memref<4x64xf32>
    ```
  }];
  let arguments = (ins Plan_Buffer:$source, I64Attr:$first);
  let results = (outs Plan_Buffer:$buffer);
  let assemblyFormat = "$source `[` $first `]` `:` type($source) `to` type($buffer) attr-dict";
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// Bytes from the start of the source.
    int64_t getByteOffset();
  }];
}

def CopyOutOp : Plan_EntryOp<"copy_out", [AllTypesMatch<["near", "far"]>, MemoryEffects<[MemRead, MemWrite]>]> {
  let summary = "starts a copy from near memory to the far tier";
  let description = [{
    Returns at once. Until somebody waits for the event, nobody may write the source, nor read or write the target. Copies
    out run one after the other, in the order of their ops; so do copies in.

    ```mlir
    %e = plan.copy_out %x to %f : memref<16x64xf32>
    ```
  }];
  let arguments = (ins Plan_Buffer:$near, Plan_Buffer:$far);
  let results = (outs Plan_Event:$event);
  let assemblyFormat = "$near `to` $far `:` type($near) attr-dict";
  let builders = [OpBuilder<(ins "::mlir::Value":$near, "::mlir::Value":$far), [{
    build($_builder, $_state, EventType::get($_builder.getContext()), near, far);
  }]>];
}

def CopyInOp : Plan_EntryOp<"copy_in", [AllTypesMatch<["near", "far"]>, MemoryEffects<[MemRead, MemWrite]>]> {
  let summary = "starts a copy from the far tier to near memory";
  let description = [{
    As `plan.copy_out`: until somebody waits for the event, nobody may write the source, nor read or write the target.

    ```mlir
    %e = plan.copy_in %f to %x : memref<16x64xf32>
    plan.wait %e
    ```
  }];
  let arguments = (ins Plan_Buffer:$far, Plan_Buffer:$near);
  let results = (outs Plan_Event:$event);
  let assemblyFormat = "$far `to` $near `:` type($far) attr-dict";
  let builders = [OpBuilder<(ins "::mlir::Value":$far, "::mlir::Value":$near), [{
    build($_builder, $_state, EventType::get($_builder.getContext()), far, near);
  }]>];
}

def WaitOp : Plan_EntryOp<"wait", [MemoryEffects<[MemRead, MemWrite]>]> {
  let summary = "holds the entry until a copy is over";
  let description = [{
    What follows may read the target of the copy and write its source. Waiting again costs nothing.

    ```mlir
    plan.wait %e
    ```
  }];
  let arguments = (ins Plan_Event:$event);
  let assemblyFormat = "$event attr-dict";
}

def LaunchOp : Plan_EntryOp<"launch", [MemoryEffects<[MemRead, MemWrite]>]> {
  let summary = "runs a kernel over buffers";
  let description = [{
    `label` says in words what the launch computes, for traces and reports.

    ```mlir
    plan.launch @add_0(%a, %b, %c) "layers.0 residual" : memref<16x64xf32>, memref<16x64xf32>, memref<16x64xf32>
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$kernel, Variadic<Plan_Buffer>:$buffers, StrAttr:$label);
  let assemblyFormat = "$kernel `(` $buffers `)` $label (`:` type($buffers)^)? attr-dict";
}

def OutputOp : Plan_EntryOp<"output", [MemoryEffects<[MemRead]>]> {
  let summary = "a buffer that the host reads after the entry";
  let description = [{
    Stays live to the end of the entry.

    ```mlir
    plan.output "loss", %l : memref<f32>
    ```
  }];
  let arguments = (ins StrAttr:$name, Plan_Buffer:$buffer);
  let assemblyFormat = "$name `,` $buffer `:` type($buffer) attr-dict";
}

//===----------------------------------------------------------------------===//
// Row kernels
//===----------------------------------------------------------------------===//

def RowsOp : Plan_Op<"rows", [SingleBlock, NoTerminator, HasParent<"KernelOp">]> {
  let summary = "runs its body once for each row";
  let description = [{
    `parallel`: rows run in any order; they are handed out in blocks of `per_task` consecutive rows, and rows of one block
    run in order (plan.accumulate counts on both). `sequential`: rows run in order, each column on its own, so that a later
    row can read what an earlier one stored in the same column; reductions and column offsets are not allowed there.
    plan.scatter adds up over such rows.

    The body reads all that a row needs before it stores (loads after a store of the same row to the same buffer do not
    happen; where rows are in parallel, `plan-verify` looks after that). All row values of a body have the same number of columns.

    ```mlir
    plan.rows 16 per_task 4 parallel {
    ^bb0(%r: index):
      ...
    }
    ```
  }];
  let arguments = (ins I64Attr:$rows, I64Attr:$per_task, Plan_OrderAttr:$order);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "$rows `per_task` $per_task `` $order attr-dict-with-keyword $body";
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    ::mlir::Value getRow() { return getBody().front().getArgument(0); }
    int64_t getTasks() { return (getRows() + getPerTask() - 1) / getPerTask(); }
    /// Number of columns of the body's row values; 1 when there are none.
    int64_t getColumns();
  }];
}

def LoadOp : Plan_Op<"load", [MemoryEffects<[MemRead]>]> {
  let summary = "reads a row, part of a row, or an element of a buffer";
  let description = [{
    With one index less than the buffer's rank the result is a row value: the elements of the last dimension from column
    `offset` on, as many as the result holds. With all indices it is one element. Indices are of type index.

    ```mlir
    %x = plan.load %m[%r] : memref<16x64xf32> -> tensor<64xf32>
    %hi = plan.load %m[%r] offset 32 : memref<16x64xf32> -> tensor<32xf32>
    %w = plan.load %v[] : memref<64xf32> -> tensor<64xf32>
    %id = plan.load %ids[%r] : memref<16xi32> -> i32
    ```
  }];
  let arguments = (ins Plan_Buffer:$buffer, Variadic<Index>:$indices, DefaultValuedAttr<I64Attr, "0">:$offset);
  let results = (outs Plan_RowOrScalar:$result);
  let assemblyFormat = "$buffer `[` $indices `]` (`offset` $offset^)? `:` type($buffer) `->` type($result) attr-dict";
  let hasVerifier = 1;
}

def StoreOp : Plan_Op<"store", [MemoryEffects<[MemWrite]>]> {
  let summary = "writes a row, part of a row, or an element of a buffer";
  let description = [{
    As plan.load. Rows of different tasks never store to the same place.

    ```mlir
    plan.store %x, %m[%r] : tensor<64xf32>, memref<16x64xf32>
    ```
  }];
  let arguments = (ins Plan_RowOrScalar:$value, Plan_Buffer:$buffer, Variadic<Index>:$indices,
                       DefaultValuedAttr<I64Attr, "0">:$offset);
  let assemblyFormat = "$value `,` $buffer `[` $indices `]` (`offset` $offset^)? `:` type($value) `,` type($buffer) attr-dict";
  let hasVerifier = 1;
}

def AccumulateOp : Plan_Op<"accumulate", [MemoryEffects<[MemRead, MemWrite]>]> {
  let summary = "adds a row value or a scalar into the partial sum of this row's task";
  let description = [{
    Only in parallel `plan.rows`. The buffer has one row (or one element, for a scalar) a task. The first row of a task overwrites, the
    others add in order: `partial[row / per_task] (+)= value`.

    ```mlir
    plan.accumulate %v, %partial : tensor<64xf32>, memref<4x64xf32>
    ```
  }];
  let arguments = (ins Plan_RowOrScalar:$value, Plan_Buffer:$buffer);
  let assemblyFormat = "$value `,` $buffer `:` type($value) `,` type($buffer) attr-dict";
  let hasVerifier = 1;
}

def ScatterOp : Plan_Op<"scatter", [MemoryEffects<[MemRead, MemWrite]>]> {
  let summary = "adds row values up into those rows of a buffer that they name";
  let description = [{
    Only in sequential `plan.rows`, once, which store nothing else. Rows that name the same index follow each other: of each such
    run, the values are added, in order and in their own type, to what the buffer's row held before; the sum is rounded to
    the buffer's type once. A row with a negative index is left out.

    ```mlir
    plan.scatter %g, %table[%id] : tensor<64xf32>, memref<320x64xbf16>
    ```
  }];
  let arguments = (ins 1DTensorOf<[F32, F64]>:$value, Plan_Buffer:$buffer, Index:$index);
  let assemblyFormat = "$value `,` $buffer `[` $index `]` `:` type($value) `,` type($buffer) attr-dict";
  let hasVerifier = 1;
}

def ReduceOp : Plan_Op<"reduce", [Pure, TypesMatchWith<"the result has the type of the row's elements", "input", "result",
    "::llvm::cast<::mlir::RankedTensorType>($_self).getElementType()">]> {
  let summary = "sum or maximum of a row value";
  let description = [{
    The order of additions is part of the meaning, and equal on every target: n partial results, partial j over the
    elements with index = j mod n in ascending order, starting from -0.0 (add) or -inf (max); then partials are combined in halves:
    p[j] += p[j + n / 2], p[j] += p[j + n / 4], ... down to p[0]. n is 128; in rows of more than 16384 columns, which a block of a
    GPU reduces, 4096 (`plan::partialsOf`). A maximum ignores no NaN.

    ```mlir
    %s = plan.reduce add %x : tensor<64xf32> -> f32
    ```
  }];
  let arguments = (ins Plan_ReduceKindAttr:$kind, 1DTensorOf<[F32, F64]>:$input);
  let results = (outs AnyTypeOf<[F32, F64]>:$result);
  let assemblyFormat = "`` $kind $input `:` type($input) `->` type($result) attr-dict";
}

def BroadcastOp : Plan_Op<"broadcast", [Pure, TypesMatchWith<"the row's elements have the type of the value", "result", "value",
    "::llvm::cast<::mlir::RankedTensorType>($_self).getElementType()">]> {
  let summary = "a row value that holds one scalar in every column";
  let description = [{
    ```mlir
    %b = plan.broadcast %s : f32 -> tensor<64xf32>
    ```
  }];
  let arguments = (ins AnyTypeOf<[F32, F64, BF16, I32]>:$value);
  let results = (outs 1DTensorOf<[F32, F64, BF16, I32]>:$result);
  let assemblyFormat = "$value `:` type($value) `->` type($result) attr-dict";
}

def ColumnOp : Plan_Op<"column", [Pure]> {
  let summary = "the number of each column, 0-based";
  let description = [{
    ```mlir
    %c = plan.column : tensor<64xi32>
    ```
  }];
  let results = (outs 1DTensorOf<[I32]>:$result);
  let assemblyFormat = "`:` type($result) attr-dict";
}

def DecodeOp : Plan_Op<"decode", [Pure, SameOperandsAndResultShape]> {
  let summary = "the numbers that codes stand for";
  let description = [{
    A code of four bits is a byte from 0 to 15 here; what packs two of them into one is the body's own arithmetic.

    ```mlir
    %x = plan.decode %c with <format = torchao_8bit, isSigned = true> : tensor<256xi8> -> tensor<256xf32>
    ```
  }];
  let arguments = (ins 1DTensorOf<[I8]>:$codes, Plan_StateMapAttr:$map);
  let results = (outs 1DTensorOf<[F32]>:$result);
  let assemblyFormat = "$codes `with` $map `:` type($codes) `->` type($result) attr-dict";
}

def EncodeOp : Plan_Op<"encode", [Pure, SameOperandsAndResultShape]> {
  let summary = "codes for numbers from -1 to 1";
  let description = [{
    As the library that the map is named after rounds (ftc/Support/QuantizedStates.h). A NaN has code 0.

    ```mlir
    %c = plan.encode %x with <format = torchao_8bit, isSigned = true> : tensor<256xf32> -> tensor<256xi8>
    ```
  }];
  let arguments = (ins 1DTensorOf<[F32]>:$input, Plan_StateMapAttr:$map);
  let results = (outs 1DTensorOf<[I8]>:$result);
  let assemblyFormat = "$input `with` $map `:` type($input) `->` type($result) attr-dict";
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

def MatmulOp : Plan_Op<"matmul", [AttrSizedOperandSegments, HasParent<"KernelOp">]> {
  let summary = "c = store(sum over k of read_a(a) * read_b(b))";
  let description = [{
    `op(a)` is m × k, `op(b)` is k × n. The seams are element-wise bodies ended by plan.yield: `read_a` and `read_b` map one
    stored element to f32 (an empty region: the element is f32 already), `store_c` maps the accumulated f32, and the
    elements of `extras` (m × n buffers) at the same place, to the element that is stored in c (empty: the f32 itself).
    Accumulation is fp32 with fma; its order depends on sizes and the target's block sizes, never on threads.
    An extra may be the same buffer as c. `scratch` is working memory that the target asks for.

    With `decode_b`, op(b) is read from a matrix in four bits (`#plan.nf4`): b holds its codes, the three `scales` its absmax
    codes, their scales and their offset. `read_b` is empty then. Elements are decoded where they are read; no decoded
    matrix is in memory.

    With `pair`, a second, narrow product is added before c is stored: its first buffer is m × r, its second r × n, or n × r
    with `transpose_pair`, elements f32 or bf16. Its sum is accumulated by itself and then added to the first.

    ```mlir
    plan.matmul %a, %b, %c extras(%x : memref<16x128xbf16>) transpose_b
      : memref<16x64xbf16>, memref<128x64xbf16>, memref<16x128xbf16>
      read_a {
      ^bb0(%e: bf16):
        %f = arith.extf %e : bf16 to f32
        plan.yield %f : f32
      } read_b {
      ...
      } store_c {
      ^bb0(%s: f32, %e: bf16):
        ...
        plan.yield %r : bf16
      }
    plan.matmul %a, %b, %c pair(%xa, %d : memref<16x8xf32>, memref<128x8xf32>) transpose_b transpose_pair
      : memref<16x64xf32>, memref<128x64xf32>, memref<16x128xf32> read_a {} read_b {} store_c {}
    plan.matmul %a, %w, %c decode_b <bitsandbytes, f32> scales(%absmax, %nested, %offset : memref<128xi8>, memref<1xf32>,
      memref<1xf32>) transpose_b : memref<16x64xf32>, memref<4096xi8>, memref<16x128xf32> read_a {} read_b {} store_c {}
    ```
  }];
  let arguments = (ins Plan_Buffer:$a, Plan_Buffer:$b, Plan_Buffer:$c, Variadic<Plan_Buffer>:$scales,
                       Variadic<Plan_Buffer>:$pair, Variadic<Plan_Buffer>:$extras, Optional<Plan_Buffer>:$scratch,
                       UnitAttr:$transpose_a, UnitAttr:$transpose_b, UnitAttr:$transpose_pair, OptionalAttr<Plan_Nf4Attr>:$decode_b);
  let regions = (region AnyRegion:$read_a, AnyRegion:$read_b, AnyRegion:$store_c);
  let assemblyFormat = [{
    $a `,` $b `,` $c (`decode_b` $decode_b^)? (`scales` `(` $scales^ `:` type($scales) `)`)? (`pair` `(` $pair^ `:` type($pair) `)`)? (`extras` `(` $extras^ `:` type($extras) `)`)? (`scratch` `(` $scratch^ `:` type($scratch) `)`)?
    (`transpose_a` $transpose_a^)? (`transpose_b` $transpose_b^)? (`transpose_pair` $transpose_pair^)? `:` type($a) `,` type($b) `,` type($c)
    `read_a` $read_a `read_b` $read_b `store_c` $store_c attr-dict
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    int64_t getM() { return ::mlir::cast<::mlir::MemRefType>(getC().getType()).getDimSize(0); }
    int64_t getN() { return ::mlir::cast<::mlir::MemRefType>(getC().getType()).getDimSize(1); }
    int64_t getK() {
      return ::mlir::cast<::mlir::MemRefType>(getA().getType()).getDimSize(getTransposeA() ? 0 : 1);
    }
    /// Terms of the second product; 0 without one.
    int64_t getPairK() {
      return getPair().empty() ? 0 : ::mlir::cast<::mlir::MemRefType>(getPair().front().getType()).getDimSize(1);
    }
  }];
}

def YieldOp : Plan_Op<"yield", [Pure, Terminator, HasParent<"MatmulOp">]> {
  let summary = "ends a seam of a product";
  let description = [{
    Its operand is what the seam makes of an element: f32 where one is read, the type of c where one is stored.

    ```mlir
    plan.yield %f : f32
    ```
  }];
  let arguments = (ins AnyTypeOf<[F32, F64, BF16]>:$value);
  let assemblyFormat = "$value `:` type($value) attr-dict";
}

//===----------------------------------------------------------------------===//
// Attention
//===----------------------------------------------------------------------===//

def AttentionOp : Plan_Op<"attention", [HasParent<"KernelOp">]> {
  let summary = "causal grouped-query attention within segments";
  let description = [{
    As train.attention, with its `window` and `softcap`: query and output `[batch * sequence, num_heads * head_dim]`, key and value `[batch * sequence,
    num_kv_heads * head_dim]`, `segment_starts` `[batch * sequence]` of i32, `lse` `[batch * sequence, num_heads]` of f32. Elements are f32 or bf16;
    arithmetic is fp32, but weights of bf16 attention may be rounded to bf16 where they are multiplied. No score matrix of sequence × sequence is in memory; `scratch` is planned.

    ```mlir
    plan.attention %q, %k, %v, %starts, %o, %lse batch 2 heads 4 kv_heads 2 scale 2.5e-01
      : memref<16x64xf32>, memref<16x32xf32>, memref<16x32xf32>, memref<16xi32>, memref<16x64xf32>, memref<16x4xf32>
    ```
  }];
  let arguments = (ins Plan_Buffer:$query, Plan_Buffer:$key, Plan_Buffer:$value, Plan_Buffer:$segment_starts,
                       Plan_Buffer:$output, Plan_Buffer:$lse, Optional<Plan_Buffer>:$scratch,
                       I64Attr:$batch, I64Attr:$num_heads, I64Attr:$num_kv_heads, F64Attr:$scale,
                       OptionalAttr<I64Attr>:$window, OptionalAttr<F64Attr>:$softcap);
  let assemblyFormat = [{
    $query `,` $key `,` $value `,` $segment_starts `,` $output `,` $lse (`scratch` `(` $scratch^ `:` type($scratch) `)`)?
    `batch` $batch `heads` $num_heads `kv_heads` $num_kv_heads `scale` $scale (`window` $window^)?
    (`softcap` $softcap^)? `:` type($query) `,` type($key) `,` type($value) `,` type($segment_starts) `,` type($output)
    `,` type($lse) attr-dict
  }];
  let hasVerifier = 1;
}

def AttentionGradOp : Plan_Op<"attention_grad", [HasParent<"KernelOp">]> {
  let summary = "gradients of plan.attention";
  let description = [{
    As train.attention_grad. Operands: query, key, value, segment_starts, output, lse, gradient of the output, then the
    buffers written: gradients of query, key and value.

    ```mlir
    plan.attention_grad %q, %k, %v, %starts, %o, %lse, %do, %dq, %dk, %dv batch 2 heads 4 kv_heads 2 scale 2.5e-01 : ...
    ```
  }];
  let arguments = (ins Plan_Buffer:$query, Plan_Buffer:$key, Plan_Buffer:$value, Plan_Buffer:$segment_starts,
                       Plan_Buffer:$output, Plan_Buffer:$lse, Plan_Buffer:$gradient, Plan_Buffer:$query_gradient,
                       Plan_Buffer:$key_gradient, Plan_Buffer:$value_gradient, Optional<Plan_Buffer>:$scratch,
                       I64Attr:$batch, I64Attr:$num_heads, I64Attr:$num_kv_heads, F64Attr:$scale,
                       OptionalAttr<I64Attr>:$window, OptionalAttr<F64Attr>:$softcap);
  let assemblyFormat = [{
    $query `,` $key `,` $value `,` $segment_starts `,` $output `,` $lse `,` $gradient `,` $query_gradient `,`
    $key_gradient `,` $value_gradient (`scratch` `(` $scratch^ `:` type($scratch) `)`)? `batch` $batch `heads` $num_heads
    `kv_heads` $num_kv_heads `scale` $scale (`window` $window^)? (`softcap` $softcap^)? `:` type($query) `,` type($key)
    `,` type($value) `,` type($segment_starts) `,` type($output) `,` type($lse) `,` type($gradient) `,`
    type($query_gradient) `,` type($key_gradient) `,` type($value_gradient) attr-dict
  }];
  let hasVerifier = 1;
}

#endif // FTC_PLAN_OPS_TD
