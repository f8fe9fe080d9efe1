//===- Cubin.cpp - PTX to machine code of a GPU --------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

//
// No header and no library of CUDA is needed to build this: the few functions of libnvJitLink that are called are
// declared here, after nvJitLink.h of CUDA 13.0, and looked up when they are needed. No GPU is needed either.
//
//===----------------------------------------------------------------------===//

#include "lib/Target/CUDA/Cubin.h"

#include "llvm/ADT/ScopeExit.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Process.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/raw_ostream.h"

#include <cstdlib>
#include <dlfcn.h>
#include <vector>

using namespace ftc;

static constexpr const char toolkit[] = "/usr/local/cuda";

/// The folder that CUDA_HOME names; empty when it is not set.
static std::string cudaHome() {
  const char *home = std::getenv("CUDA_HOME");
  return home ? home : "";
}

//===----------------------------------------------------------------------===//
// libnvJitLink
//===----------------------------------------------------------------------===//

namespace {
/// The library, loaded once and never given back.
struct JitLink {
  using Handle = void *;
  static constexpr int success = 0, inputPtx = 2;

  int (*create)(Handle *, uint32_t, const char **) = nullptr;
  int (*destroy)(Handle *) = nullptr;
  int (*addData)(Handle, int, const void *, size_t, const char *) = nullptr;
  int (*complete)(Handle) = nullptr;
  int (*cubinSize)(Handle, size_t *) = nullptr;
  int (*cubin)(Handle, void *) = nullptr;
  int (*logSize)(Handle, size_t *) = nullptr;
  int (*log)(Handle, char *) = nullptr;
  int (*version)(unsigned *, unsigned *) = nullptr; ///< null with libraries before 12.3

  bool load();
};
} // namespace

bool JitLink::load() {
  std::vector<std::string> places;
  for (const char *name : {"libnvJitLink.so.13", "libnvJitLink.so.12", "libnvJitLink.so"}) {
    if (std::string home = cudaHome(); !home.empty())
      places.push_back(home + "/lib64/" + name);
    places.push_back(name);
    places.push_back(std::string(toolkit) + "/lib64/" + name);
  }
  for (const std::string &place : places) {
    void *library = dlopen(place.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library)
      continue;
    auto find = [&](auto &function, const char *name) {
      function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, name));
      return function != nullptr;
    };
    if (find(create, "nvJitLinkCreate") && find(destroy, "nvJitLinkDestroy") && find(addData, "nvJitLinkAddData") &&
        find(complete, "nvJitLinkComplete") && find(cubinSize, "nvJitLinkGetLinkedCubinSize") &&
        find(cubin, "nvJitLinkGetLinkedCubin") && find(logSize, "nvJitLinkGetErrorLogSize") &&
        find(log, "nvJitLinkGetErrorLog")) {
      find(version, "nvJitLinkVersion");
      return true;
    }
    dlclose(library);
  }
  return false;
}

static std::optional<std::string> assembleInProcess(const JitLink &link, const std::string &ptx,
                                                    const cuda::CudaTarget &target, std::string &error) {
  std::string architecture = "-arch=" + target.architecture;
  const char *options[] = {architecture.c_str()};
  JitLink::Handle handle = nullptr;
  if (int code = link.create(&handle, 1, options); code != JitLink::success) {
    error = "libnvJitLink does not assemble for " + target.architecture + " (code " + std::to_string(code) +
            "); install a CUDA toolkit that knows it";
    return std::nullopt;
  }
  llvm::scope_exit cleanUp([&] { link.destroy(&handle); });
  size_t size = 0;
  std::string cubin;
  bool done = link.addData(handle, JitLink::inputPtx, ptx.c_str(), ptx.size() + 1, "kernels") == JitLink::success &&
              link.complete(handle) == JitLink::success && link.cubinSize(handle, &size) == JitLink::success;
  if (done) {
    cubin.resize(size);
    done = link.cubin(handle, cubin.data()) == JitLink::success;
  }
  if (done)
    return cubin;
  error = "libnvJitLink cannot assemble the kernels";
  if (link.logSize(handle, &size) == JitLink::success && size > 1) {
    std::string log(size, '\0');
    if (link.log(handle, log.data()) == JitLink::success)
      error += ": " + llvm::StringRef(log.c_str()).trim().str();
  }
  return std::nullopt;
}

//===----------------------------------------------------------------------===//
// ptxas
//===----------------------------------------------------------------------===//

static std::string findPtxas() {
  std::vector<std::string> folders;
  if (std::string home = cudaHome(); !home.empty())
    folders.push_back(home + "/bin");
  std::vector<llvm::StringRef> paths(folders.begin(), folders.end());
  if (auto found = llvm::sys::findProgramByName("ptxas", paths); !paths.empty() && found)
    return *found;
  if (auto found = llvm::sys::findProgramByName("ptxas"))
    return *found;
  std::string last = std::string(toolkit) + "/bin";
  auto found = llvm::sys::findProgramByName("ptxas", {last});
  return found ? *found : "";
}

static std::optional<std::string> assembleByProgram(const std::string &program, const std::string &ptx,
                                                    const cuda::CudaTarget &target, std::string &error) {
  llvm::SmallString<128> folder;
  if (std::error_code code = llvm::sys::fs::createUniqueDirectory("ftc", folder)) {
    error = "cannot make a temporary folder: " + code.message() + "; set TMPDIR to a folder with free space";
    return std::nullopt;
  }
  llvm::scope_exit cleanUp([&] { llvm::sys::fs::remove_directories(folder); });
  auto in = [&](const char *name) { return (folder + "/" + name).str(); };
  std::string input = in("kernels.ptx"), output = in("kernels.cubin"), messages = in("messages");
  std::error_code code;
  {
    llvm::raw_fd_ostream stream(input, code);
    if (!code)
      stream << ptx;
    stream.close();
    if (stream.has_error()) {
      code = stream.error();
      stream.clear_error();
    }
  }
  if (code) {
    error = "cannot write '" + input + "': " + code.message() + "; set TMPDIR to a folder with free space";
    return std::nullopt;
  }
  std::string architecture = "-arch=" + target.architecture, problem;
  llvm::StringRef arguments[] = {program, architecture, input, "-o", output};
  std::optional<llvm::StringRef> redirects[] = {llvm::StringRef(), llvm::StringRef(messages),
                                                llvm::StringRef(messages)};
  int exit = llvm::sys::ExecuteAndWait(program, arguments, std::nullopt, redirects, 0, 0, &problem);
  auto cubin = llvm::MemoryBuffer::getFile(output, /*IsText=*/false, /*RequiresNullTerminator=*/false);
  if (exit == 0 && cubin)
    return (*cubin)->getBuffer().str();
  error = "'" + program + "' cannot assemble the kernels";
  if (auto text = llvm::MemoryBuffer::getFile(messages); text && !(*text)->getBuffer().empty())
    problem = (*text)->getBuffer().trim().str();
  if (!problem.empty())
    error += ": " + problem;
  return std::nullopt;
}

/// The library, or null where there is none.
static const JitLink *jitLink() {
  static JitLink link;
  static const bool linked = link.load();
  return linked ? &link : nullptr;
}

/// The last word of what `ptxas --version` says: "V13.0.88", behind "Cuda compilation tools, release 13.0".
static std::string versionOf(const std::string &program) {
  llvm::SmallString<128> output;
  int descriptor = -1;
  if (llvm::sys::fs::createTemporaryFile("ftc-ptxas", "txt", descriptor, output))
    return "";
  llvm::sys::Process::SafelyCloseFileDescriptor(descriptor);
  llvm::scope_exit cleanUp([&] { llvm::sys::fs::remove(output); });
  llvm::StringRef arguments[] = {program, "--version"};
  std::optional<llvm::StringRef> redirects[] = {llvm::StringRef(), llvm::StringRef(output), llvm::StringRef()};
  int exit = llvm::sys::ExecuteAndWait(program, arguments, std::nullopt, redirects);
  auto text = llvm::MemoryBuffer::getFile(output);
  if (exit != 0 || !text)
    return "";
  auto [before, version] = (*text)->getBuffer().split("release ").second.split(", ");
  return version.take_until([](char c) { return isspace(static_cast<unsigned char>(c)); }).str();
}

const std::string &cuda::assemblerName() {
  static const std::string name = [] {
    if (const JitLink *link = jitLink()) {
      unsigned major = 0, minor = 0;
      bool known = link->version && link->version(&major, &minor) == JitLink::success;
      return "libnvJitLink" + (known ? " " + std::to_string(major) + "." + std::to_string(minor) : std::string());
    }
    std::string program = findPtxas();
    return program.empty() ? "" : llvm::StringRef("ptxas " + versionOf(program)).trim().str();
  }();
  return name;
}

std::optional<std::string> cuda::assemble(const std::string &ptx, const CudaTarget &target, std::string &error) {
  if (const JitLink *link = jitLink())
    return assembleInProcess(*link, ptx, target, error);
  std::string program = findPtxas();
  if (!program.empty())
    return assembleByProgram(program, ptx, target, error);
  error = "--target cuda needs NVIDIA's assembler: neither libnvJitLink.so nor ptxas is in CUDA_HOME, on the paths of "
          "loader and shell, or in /usr/local/cuda; install the CUDA toolkit (12.8 or later), or PyPI's "
          "nvidia-nvjitlink, and set CUDA_HOME to its folder (no GPU is needed)";
  return std::nullopt;
}
