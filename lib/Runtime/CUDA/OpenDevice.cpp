//===- OpenDevice.cpp - A step on an NVIDIA GPU: what it takes to start ----===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Everything that a run needs of the device is made here, in an order that lets each refusal name its own cause: driver
// and device, the architecture, enough memory, code, slabs, pinned memory, products. Then every entry runs once on
// memory that is all zeros: NVIDIA's libraries load code and take memory when something is first used, and that must
// happen before the first step. A kernel that cannot run at all is found there too, by name. Last, entries are
// recorded.
//
//===----------------------------------------------------------------------===//

#include "CudaDevice.h"

#include "ftc/Support/Units.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fmt/format.h>

namespace ftc {

std::unique_ptr<Device> openCudaDevice(const std::string &path, const ftrt_step &step,
                                       const manifest::Manifest &manifest, const DeviceOptions &options) {
  return std::make_unique<cuda::CudaDevice>(path, step, manifest, options);
}

namespace cuda {
namespace {

constexpr ExitCode noDevice = ExitCode::NoDevice;

/// Dynamic shared memory that a kernel may have without asking for it.
constexpr uint32_t plainSharedBytes = 48 << 10;

/// Where the times of kernels and products go; empty: nowhere.
std::string timesFile() {
  const char *wish = std::getenv("FTRT_CUDA_TIMES");
  return wish ? wish : "";
}

bool wantsGraphs() {
  const char *wish = std::getenv("FTRT_CUDA_GRAPH");
  return timesFile().empty() && (!wish || std::strcmp(wish, "0") != 0);
}

bool isCubin(const ftrt_module &module) { return std::memcmp(module.image, "\177ELF", 4) == 0; }

/// Whether there is code for it that any newer GPU's driver can assemble.
bool hasText(const ftrt_module &module) { return module.text || !isCubin(module); }

/// ftc's --device for a GPU of compute capability `version` (90: 9.0).
std::string deviceFlag(int version) {
  const char *flag = version == 80    ? "a100' or '--device a100-40"
                     : version == 86  ? "rtx3090' or '--device a10"
                     : version == 89  ? "rtx4090' or '--device l40s"
                     : version == 90  ? "h100' or '--device h200"
                     : version == 100 ? "b200"
                                      : "";
  return *flag ? fmt::format("recompile with '--device {}'", flag)
               : "recompile with '--device FILE.yaml', a device file for this GPU like those of configs/devices";
}

} // namespace

CudaDevice::CudaDevice(const std::string &path, const ftrt_step &step, const manifest::Manifest &manifest,
                       const DeviceOptions &options)
    : cu(openDriver()), path(path), step(step), info(manifest) {
  checkTables(path, step);
  try {
    openDevice();
    requireArchitecture();
    requireMemory();
    loadModules();
    takeSlabs();
    takeHostMemory();
    makeStreams();
    fillTable();
    makeLibraries(options);
    warmUp();
    if (options.tune) {
      tuneProducts();
      tuneAttentions();
    }
    measure("first run");
    if (wantsGraphs())
      recordGraphs();
    else
      oneByOne = true;
    for (uint32_t slab = 0; slab < allocations.size(); ++slab)
      if (allocations[slab])
        zero(slab, 0, info.slabs()->Get(slab)->bytes());
    if (far)
      std::memset(far, 0, farTotal);
    started = true;
  } catch (...) {
    release();
    throw;
  }
}

CudaDevice::~CudaDevice() {
  if (std::string error; times.enabled() && !times.write(error))
    std::fprintf(stderr, "%s: no times of kernels: %s\n", path.c_str(), error.c_str());
  release();
}

void CudaDevice::release() {
  if (!context)
    return;
  // Where the device has failed, so do these; there is nothing left to tell.
  cu.ctxSetCurrent(context);
  for (Stream stream : streams)
    if (stream)
      cu.streamSynchronize(stream);
  for (const auto &ofEntry : graphs)
    for (GraphExec graph : ofEntry)
      cu.graphExecDestroy(graph);
  products.reset();
  attention.reset(); // its plans hold code that graphs run
  for (Event event : events)
    cu.eventDestroy(event);
  for (const auto &pair : {stagingFree, clock})
    for (Event event : pair)
      if (event)
        cu.eventDestroy(event);
  for (Stream stream : streams)
    if (stream)
      cu.streamDestroy(stream);
  for (std::byte *host : {pinned, far})
    if (host)
      cu.memFreeHost(host);
  for (Address address : allocations)
    if (address)
      cu.memFree(address);
  for (Module module : modules)
    cu.moduleUnload(module);
  cu.primaryCtxRelease(device);
  context = nullptr;
}

uint64_t CudaDevice::freeMemory() const {
  size_t free = 0, total = 0;
  require(cu.memGetInfo(&free, &total), "cannot ask for the device's memory", noDevice);
  return free;
}

uint64_t CudaDevice::freeBytes() const {
  enter();
  return freeMemory();
}

void CudaDevice::measure(const char *what) {
  const uint64_t now = freeMemory();
  items.push_back({what, lastFree > now ? lastFree - now : 0});
  lastFree = now;
}

void CudaDevice::openDevice() {
  if (Result result = cu.init(0); result != Success)
    throw RunError(ExitCode::NoDevice,
                   fmt::format("{}: the step runs on an NVIDIA GPU, and the driver cannot start: {}; {}", path,
                               errorText(cu, result),
                               result == ErrorNoDevice
                                   ? "no GPU is there, or CUDA_VISIBLE_DEVICES hides it (see nvidia-smi)"
                                   : "see what nvidia-smi says"));
  int count = 0;
  require(cu.deviceGetCount(&count), "cannot count the GPUs", noDevice);
  if (count == 0)
    throw RunError(ExitCode::NoDevice, fmt::format("{}: the step runs on an NVIDIA GPU, and none is there, or "
                                                   "CUDA_VISIBLE_DEVICES hides it (see nvidia-smi)",
                                                   path));
  require(cu.driverGetVersion(&driverVersion), "cannot ask for the driver's version", noDevice);
  require(cu.deviceGet(&device, 0), "cannot open the GPU", noDevice);
  char text[256] = {};
  require(cu.deviceGetName(text, sizeof(text) - 1, device), "cannot ask for the GPU's name", noDevice);
  name = text;
  Context retained = nullptr;
  require(cu.primaryCtxRetain(&retained, device), "cannot open the GPU; is another program using it alone?", noDevice);
  context = retained;
  enter();
  lastFree = freeMemory();
}

void CudaDevice::requireArchitecture() {
  int major = 0, minor = 0;
  require(cu.deviceGetAttribute(&major, AttributeMajor, device), "cannot ask for the GPU's architecture", noDevice);
  require(cu.deviceGetAttribute(&minor, AttributeMinor, device), "cannot ask for the GPU's architecture", noDevice);
  architecture = fmt::format("sm_{}{}", major, minor);

  const std::string wanted = info.architecture() ? info.architecture()->str() : "";
  int number = 0;
  const char *end = wanted.data() + wanted.size();
  const auto [rest, error] = wanted.starts_with("sm_")
                                 ? std::from_chars(wanted.data() + 3, end, number)
                                 : std::from_chars_result{wanted.data(), std::errc::invalid_argument};
  if (error != std::errc() || end - rest > 1)
    throw RunError(ExitCode::BadStep,
                   fmt::format("{}: its manifest is damaged: architecture '{}'; recompile it", path, wanted));
  // "sm_90a": code for 9.0 alone; "sm_80": machine code for 8.0 and later minors, PTX for everything later.
  const int here = 10 * major + minor;
  const bool exact = rest != end;
  const bool anyLater = std::all_of(step.modules, step.modules + step.module_count, hasText);
  const bool runs = exact ? here == number : anyLater ? here >= number : here >= number && here / 10 == number / 10;
  if (!runs)
    throw RunError(ExitCode::NoDevice,
                   fmt::format("{}: compiled for {} ({}), and this GPU is {} ({}); {}", path, wanted,
                               info.device() ? info.device()->str() : "?", architecture, name, deviceFlag(here)));
}

void CudaDevice::requireMemory() {
  uint64_t planned = 0;
  for (const auto *slab : *info.slabs())
    planned += slab->place() == manifest::Place::Near ? slab->bytes() : 0;
  if (planned > lastFree)
    throw RunError(
        ExitCode::NoMemory,
        fmt::format("{}: the plan takes {} ({} bytes), and {} has {} free: {} too little; end other programs "
                    "that use it, or recompile with a smaller batch_size or tokenizer.max_seq_len",
                    path, formatBytes(planned), planned, name, formatBytes(lastFree), formatBytes(planned - lastFree)));
}

void CudaDevice::loadModules() {
  std::array<char, 4096> log{};
  for (uint64_t index = 0; index < step.module_count; ++index) {
    const ftrt_module &image = step.modules[index];
    const auto isText = [](const void *text, uint64_t size) {
      return size > 0 && static_cast<const char *>(text)[size - 1] == 0;
    };
    if ((!isCubin(image) && !isText(image.image, image.size)) || (image.text && !isText(image.text, image.text_size)))
      throw RunError(ExitCode::BadStep,
                     fmt::format("{}: module {} is no cubin, and no text with an end; recompile it", path, index));
    int options[] = {JitErrorLog, JitErrorLogBytes};
    void *values[] = {log.data(), reinterpret_cast<void *>(log.size())};
    Module module = nullptr;
    Result result = cu.moduleLoadDataEx(&module, image.image, 2, options, values);
    // Machine code is for drivers that are as new as what assembled it, and for GPUs of one generation. A driver reads
    // text of any older version, and assembles it for the GPU that it has.
    if (result != Success && image.text) {
      assembledHere = true;
      log[0] = 0;
      values[1] = reinterpret_cast<void *>(log.size()); // where the driver left how much it had written
      result = cu.moduleLoadDataEx(&module, image.text, 2, options, values);
    }
    if (result != Success)
      throw RunError(ExitCode::Unsupported,
                     fmt::format("{}: the driver (CUDA {}.{}) does not take the step's code for {}: {}{}{}; install a "
                                 "driver that is at least as new as the CUDA toolkit that the step was compiled with",
                                 path, driverVersion / 1000, driverVersion % 1000 / 10, info.architecture()->str(),
                                 errorText(cu, result), log[0] ? ": " : "", log.data()));
    modules.push_back(module);
  }
  kernels.resize(step.kernel_count);
  for (size_t index = 0; index < kernels.size(); ++index)
    loadKernel(index);
  measure("modules");
}

void CudaDevice::loadKernel(size_t index) {
  const ftrt_kernel &kernel = step.kernels[index];
  require(cu.moduleGetFunction(&kernels[index], modules[kernel.module], kernel.function),
          fmt::format("its code for the device has no kernel '{}'; recompile it", kernel.name), ExitCode::BadStep);
  if (kernel.shared_bytes > plainSharedBytes)
    require(cu.funcSetAttribute(kernels[index], FunctionMaxDynamicShared, static_cast<int>(kernel.shared_bytes)),
            fmt::format("kernel '{}' needs {} bytes of shared memory a block, and the GPU refuses them", kernel.name,
                        kernel.shared_bytes),
            ExitCode::Unsupported);
  if (cu.funcLoad)
    require(cu.funcLoad(kernels[index]), fmt::format("kernel '{}' cannot be loaded", kernel.name),
            ExitCode::Unsupported);
}

void CudaDevice::takeSlabs() {
  for (const auto *slab : *info.slabs()) {
    Address address = 0;
    if (slab->place() == manifest::Place::Near && slab->bytes() > 0) {
      if (cu.memAlloc(&address, slab->bytes()) != Success)
        throw RunError(ExitCode::NoMemory,
                       fmt::format("{}: slab '{}': {} refuses {} ({} bytes), with {} free; end other programs that use "
                                   "it, or recompile with a smaller batch_size or tokenizer.max_seq_len",
                                   path, slab->name()->str(), name, formatBytes(slab->bytes()), slab->bytes(),
                                   formatBytes(lastFree)));
      taken += slab->bytes();
    }
    allocations.push_back(address);
    bases.push_back(reinterpret_cast<void *>(address));
    if (address % slab->alignment() != 0)
      throw RunError(ExitCode::BadStep,
                     fmt::format("{}: slab '{}' wants to be aligned to {}, which the device does not do; recompile it",
                                 path, slab->name()->str(), slab->alignment()));
  }
  measure("slabs");
}

void CudaDevice::takeHostMemory() {
  // Offsets first, then one allocation for them all.
  constexpr uint64_t alignment = 256;
  const auto aligned = [](uint64_t bytes) { return (bytes + alignment - 1) / alignment * alignment; };
  uint64_t end = aligned(sizeof(ftrt_scalars)) + staging.size() * stagingBytes;
  std::vector<std::pair<const manifest::Tensor *, uint64_t>> places;
  for (const auto *entry : *info.entries())
    for (const auto *list : {entry->input_tensors(), entry->output_tensors()})
      if (list)
        for (const manifest::Tensor *tensor : *list) {
          places.emplace_back(tensor, end);
          end += aligned(tensor->bytes());
        }
  const auto take = [&](uint64_t bytes, const char *what) {
    void *memory = nullptr;
    require(cu.memHostAlloc(&memory, bytes, 0),
            fmt::format("cannot take {} ({} bytes) of pinned host memory for {}; close other programs",
                        formatBytes(bytes), bytes, what),
            ExitCode::NoMemory);
    std::memset(memory, 0, bytes);
    return static_cast<std::byte *>(memory);
  };
  pinned = take(end, "the batch");
  pinnedTotal = end;
  scalars = new (pinned) ftrt_scalars{};
  for (size_t half = 0; half < staging.size(); ++half)
    staging[half] = pinned + aligned(sizeof(ftrt_scalars)) + half * stagingBytes;
  for (const auto &[tensor, offset] : places)
    mirrors[tensor] = pinned + offset;
  for (const auto *slab : *info.slabs())
    if (slab->place() == manifest::Place::Far && slab->bytes() > 0) {
      if (far)
        throw RunError(ExitCode::BadStep, fmt::format("{}: it has two far slabs; recompile it", path));
      far = take(slab->bytes(), "the far tier");
      farTotal = slab->bytes();
    }
}

void CudaDevice::makeStreams() {
  const auto event = [&] {
    Event made = nullptr;
    require(cu.eventCreate(&made, eventDisableTiming), "cannot make an event", ExitCode::StepFailed);
    return made;
  };
  for (Stream &stream : streams)
    require(cu.streamCreate(&stream, streamNonBlocking), "cannot make a stream", ExitCode::StepFailed);
  for (Event &free : stagingFree)
    free = event();
  if (std::string file = timesFile(); !file.empty()) {
    for (Event &tick : clock)
      require(cu.eventCreate(&tick, 0), "cannot make an event", ExitCode::StepFailed);
    times = Times(std::move(file), step, info);
  }
  for (uint64_t index = 0; index < step.event_count; ++index)
    events.push_back(event());
}

/// Whether algorithms that were kept are of this step, library and device.
bool CudaDevice::holdsFor(const ProductAlgorithms &kept) const {
  return kept.library == chosen.library && kept.device == chosen.device &&
         std::equal(kept.products.begin(), kept.products.end(), chosen.products.begin(), chosen.products.end(),
                    [](const auto &x, const auto &y) { return x.what == y.what; });
}

void CudaDevice::makeLibraries(const DeviceOptions &options) {
  Survey survey = surveyEntries(path, step, info, bases, scalars);
  chosen.device = fmt::format("{} ({})", name, architecture);
  if (survey.products > 0) {
    makeProducts(survey, options);
    runProducts();
    measure("cuBLASLt");
  }
  if (survey.attends.empty())
    return;
  attention = std::make_unique<Attentions>(
      AttentionHost{path, step, info, cu, bases, computeStream(), std::atoi(architecture.c_str() + 3)}, survey,
      chosen.device, options.tune ? nullptr : options.algorithms);
  chosen.attentionLibrary = attention->library();
  chosen.attentions = attention->choices();
  if (!attention->describe().empty())
    measure("cuDNN");
}

void CudaDevice::makeProducts(Survey &survey, const DeviceOptions &options) {
  places = std::move(survey.places);
  chosen.library = libraryName();
  for (uint64_t index = 0; index < step.product_count; ++index)
    chosen.products.push_back({identifyProduct(step.products[index])});
  const bool keeps = options.algorithms && !options.tune && holdsFor(*options.algorithms);
  products = std::make_unique<Products>(path, step, survey.alignments, keeps ? options.algorithms : nullptr);
  if (keeps)
    chosen.products = options.algorithms->products;
  for (size_t index = 0; index < chosen.products.size(); ++index)
    std::copy_n(products->selected(index).data, chosen.products[index].words.size(),
                chosen.products[index].words.begin());
}

/// Runs each product once: its library loads code and takes memory then, which is told apart from what follows.
void CudaDevice::runProducts() {
  for (size_t index = 0; index < places.size(); ++index)
    if (places[index].d)
      multiply(index);
  require(cu.streamSynchronize(computeStream()), "products cannot run", ExitCode::StepFailed);
}

/// Runs every entry once in each variant, on zeros.
void CudaDevice::warmUp() {
  for (uint32_t slab = 0; slab < allocations.size(); ++slab)
    if (allocations[slab])
      zero(slab, 0, info.slabs()->Get(slab)->bytes());
  oneByOne = true;
  *scalars = {};
  scalars->step = 1;
  for (size_t index = 0; index < step.entry_count; ++index) {
    chooseVariant(index); // lists a document a row
    for (size_t variant = 0; variant < variants(index); ++variant) {
      queueEntry(index, variant);
      finish(index);
    }
  }
  oneByOne = false;
}

GraphExec CudaDevice::record(size_t index, size_t variant) {
  const std::string hint =
      fmt::format("entry {} cannot be recorded as a graph (FTRT_CUDA_GRAPH=0 runs without)", index);
  require(cu.streamBeginCapture(computeStream(), CaptureThreadLocal), hint, ExitCode::StepFailed);
  Graph graph = nullptr;
  try {
    queueEntry(index, variant);
  } catch (...) {
    if (cu.streamEndCapture(computeStream(), &graph) == Success && graph)
      cu.graphDestroy(graph);
    throw;
  }
  require(cu.streamEndCapture(computeStream(), &graph), hint, ExitCode::StepFailed);
  GraphExec exec = nullptr;
  const Result result = cu.graphInstantiate(&exec, graph, 0);
  cu.graphDestroy(graph);
  require(result, hint, ExitCode::StepFailed);
  return exec;
}

void CudaDevice::recordGraphs() {
  graphs.resize(step.entry_count);
  for (size_t index = 0; index < step.entry_count; ++index)
    for (size_t variant = 0; variant < variants(index); ++variant) {
      graphs[index].push_back(record(index, variant));
      require(cu.graphUpload(graphs[index].back(), computeStream()),
              fmt::format("the graph of entry {} cannot be loaded", index), ExitCode::StepFailed);
    }
  require(cu.streamSynchronize(computeStream()), "graphs cannot be loaded", ExitCode::StepFailed);
  measure("graphs");
}

} // namespace cuda
} // namespace ftc
