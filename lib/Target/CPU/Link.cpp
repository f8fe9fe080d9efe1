//===- Link.cpp - A shared object that needs nothing -------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Target/CPU/Codegen.h"

#include "ftc/Support/Seal.h"

#include "lld/Common/Driver.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

#include <mutex>

LLD_HAS_DRIVER(elf)

using namespace mlir;
using namespace ftc;

/// Runs the linker on `objects` with `flags`; its output.
static FailureOr<std::string> runLinker(Location loc, llvm::ArrayRef<llvm::StringRef> objects,
                                        llvm::ArrayRef<const char *> flags) {
  // lld keeps global state: one link at a time.
  static std::mutex mutex;
  std::lock_guard<std::mutex> guard(mutex);

  llvm::SmallString<128> folder;
  auto fail = [&](llvm::StringRef doing, std::error_code code) -> FailureOr<std::string> {
    emitError(loc) << "cannot " << doing << " in " << folder << ": " << code.message()
                   << "; set TMPDIR to a folder with free space";
    return failure();
  };
  llvm::sys::path::system_temp_directory(/*erasedOnReboot=*/true, folder);
  llvm::SmallString<128> prefix = folder;
  llvm::sys::path::append(prefix, "ftc");
  if (std::error_code code = llvm::sys::fs::createUniqueDirectory(prefix, folder))
    return fail("make a temporary folder", code);
  llvm::scope_exit cleanUp([&] { llvm::sys::fs::remove_directories(folder); });

  llvm::SmallString<128> output = folder;
  llvm::sys::path::append(output, "out");
  std::vector<std::string> inputs;
  for (llvm::StringRef object : objects) {
    llvm::SmallString<128> input = folder;
    llvm::sys::path::append(input, "in" + llvm::Twine(inputs.size()) + ".o");
    inputs.push_back(input.str().str());
    std::error_code code;
    llvm::raw_fd_ostream stream(inputs.back(), code);
    if (code)
      return fail("write an object", code);
    stream << object;
    stream.close();
    if (stream.has_error()) {
      code = stream.error();
      stream.clear_error();
      return fail("write an object", code);
    }
  }

  llvm::SmallVector<const char *> arguments{"ld.lld", "--build-id=none", "--threads=1", "--color-diagnostics=never"};
  arguments.append(flags.begin(), flags.end());
  arguments.append({"-o", output.c_str()});
  for (const std::string &input : inputs)
    arguments.push_back(input.c_str());
  std::string messages;
  llvm::raw_string_ostream stream(messages);
  lld::Result result = lld::lldMain(arguments, stream, stream, {{lld::Gnu, &lld::elf::link}});
  if (result.retCode != 0) {
    emitError(loc) << "cannot link the step: " << llvm::StringRef(messages).trim();
    return failure();
  }
  auto linked = llvm::MemoryBuffer::getFile(output, /*IsText=*/false, /*RequiresNullTerminator=*/false);
  if (!linked)
    return fail("read what was linked", linked.getError());
  return (*linked)->getBuffer().str();
}

FailureOr<std::string> cpu::mergeObjects(Location loc, llvm::ArrayRef<llvm::StringRef> objects) {
  return runLinker(loc, objects, {"-r"});
}

FailureOr<std::string> cpu::linkShared(Location loc, llvm::StringRef object) {
  FailureOr<std::string> linked = runLinker(loc, object,
                                            {"-shared", "-z", "defs", "-z", "noexecstack", "-z", "relro", "-z", "now",
                                             "--hash-style=gnu", "-soname", "step.so"});
  if (succeeded(linked))
    *linked += sealOf(*linked);
  return linked;
}
