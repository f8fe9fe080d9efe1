//===- PlanToLLVM.cpp - Entries of a plan as functions -----------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Assumes that kernels are functions ("drivers") and that buffers have places. A driver of the CPU is called as
// (services, addresses...); one for a device as (device, addresses...), and returns a code. What an entry of a device
// does is queued on streams: launches on the compute stream, copies of the far tier on streams of their own, between
// two events each, one before which the copy does not start, and one that plan.wait waits for.
//
// Launches are data (LaunchList.h); an entry is a call for each run of them between copies and waits.
//
// Promises that nothing but a failure makes the calls of an entry differ from run to run. Refuses buffers without a
// place, kernels that are no functions, and scalars of the wrong type.
//
//===----------------------------------------------------------------------===//

#include "lib/Conversion/PlanToLLVM/PlanToLLVM.h"

#include "dialects/Plan/IR/Plan.h"
#include "ftrt/step.h"
#include "lib/Conversion/PlanToLLVM/DeviceTable.h"
#include "lib/Conversion/PlanToLLVM/LaunchList.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/ADT/TypeSwitch.h"

namespace ftc {
#define GEN_PASS_DEF_CONVERTPLANTOLLVMPASS
#include "lib/Conversion/PlanToLLVM/Passes.h.inc"
} // namespace ftc

using namespace mlir;
using namespace ftc;

namespace {
using Place = LaunchList::Place;

/// Writes one entry's function.
class EntryWriter {
public:
  EntryWriter(ModuleOp module, plan::EntryOp entry, const ConvertPlanToLLVMPassOptions &options,
              const llvm::StringMap<int32_t> &slabs, const SymbolTable &symbols, LaunchList &launches,
              uint32_t firstEvent)
      : module(module), entry(entry), options(options), slabs(slabs), symbols(symbols), launches(launches),
        builder(module.getContext()), loc(entry.getLoc()), pointer(LLVM::LLVMPointerType::get(module.getContext())),
        eventCount(firstEvent) {}

  LogicalResult write();

  /// How many events of the device the entry uses.
  uint32_t events() const { return eventCount; }

private:
  Value constant(Type type, int64_t value) {
    return LLVM::ConstantOp::create(builder, loc, type, builder.getIntegerAttr(type, value));
  }
  Value field(Type structType, Value base, int32_t index, Type type) {
    Value place = LLVM::GEPOp::create(builder, loc, pointer, structType, base, ArrayRef<LLVM::GEPArg>{0, index});
    return LLVM::LoadOp::create(builder, loc, type, place);
  }
  void returnUnless(Value condition, int32_t code);
  void checkServices(LLVM::LLVMFuncOp function);
  FailureOr<Place> placeOf(Operation *buffer);
  FailureOr<Place> placeIn(Operation *buffer, StringRef slab, uint64_t offset);
  FailureOr<Value> address(Operation *buffer);
  /// Calls a function of ftrt_device, and ends the entry where it fails.
  void callDevice(DeviceFunction function, ArrayRef<Value> arguments);
  void checkCode(Value code);
  void record(uint32_t stream, uint32_t event);
  void wait(uint32_t stream, uint32_t event);
  LogicalResult copyScalars();
  LogicalResult callKernels();
  LogicalResult addLaunch(plan::LaunchOp launch);
  void runLaunches();
  LogicalResult startCopy(Operation *copy, Value near, Value far, bool out);
  void startDeviceCopy(Operation *copy, Value near, Place far, Value address, bool out);
  void waitForCopy(plan::WaitOp wait);
  void joinStreams();

  ModuleOp module;
  plan::EntryOp entry;
  const ConvertPlanToLLVMPassOptions &options;
  const llvm::StringMap<int32_t> &slabs;
  const SymbolTable &symbols;
  LaunchList &launches;
  int64_t firstLaunch = 0; ///< where those begin that no call runs yet
  OpBuilder builder;
  Location loc;
  Type pointer;
  Block *body = nullptr;
  SmallVector<Value> bases;
  Value device;                                    ///< address of ftrt_device
  llvm::DenseMap<int32_t, Block *> refusals;       ///< blocks that return a code
  llvm::DenseMap<Value, Value> copies;             ///< numbers that the host gave, by event
  llvm::DenseMap<Value, uint32_t> overAt;          ///< events of the device, by event of the plan
  std::optional<uint32_t> last[FTRT_STREAM_COUNT]; ///< latest event of each copy stream
  uint32_t eventCount;                             ///< so many events are in use, those of drivers included
};
} // namespace

/// Ends the function with `code` unless `condition`, and goes on in a block of its own.
void EntryWriter::returnUnless(Value condition, int32_t code) {
  Region *region = builder.getInsertionBlock()->getParent();
  Block *current = builder.getInsertionBlock();
  Block *&refuse = refusals[code];
  if (!refuse) {
    refuse = builder.createBlock(region, region->end());
    LLVM::ReturnOp::create(builder, loc, constant(builder.getI32Type(), code));
  }
  Block *next = builder.createBlock(region, region->end());
  builder.setInsertionPointToEnd(current);
  LLVM::CondBrOp::create(builder, loc, condition, next, refuse);
  builder.setInsertionPointToStart(next);
}

/// ftrt_services.
static LLVM::LLVMStructType servicesType(MLIRContext *context) {
  Type i32 = IntegerType::get(context, 32), pointer = LLVM::LLVMPointerType::get(context);
  return LLVM::LLVMStructType::getLiteral(context,
                                          {i32, i32, pointer, i32, i32, pointer, pointer, pointer, pointer, pointer});
}

void EntryWriter::callDevice(DeviceFunction function, ArrayRef<Value> arguments) {
  checkCode(ftc::callDevice(builder, loc, device, function, arguments));
}

void EntryWriter::checkCode(Value code) {
  returnUnless(LLVM::ICmpOp::create(builder, loc, LLVM::ICmpPredicate::eq, code, constant(builder.getI32Type(), 0)),
               FTRT_DEVICE_FAILED);
}

void EntryWriter::record(uint32_t stream, uint32_t event) {
  callDevice(DeviceFunction::Record, {constant(builder.getI32Type(), stream), constant(builder.getI32Type(), event)});
}

void EntryWriter::wait(uint32_t stream, uint32_t event) {
  callDevice(DeviceFunction::Wait, {constant(builder.getI32Type(), stream), constant(builder.getI32Type(), event)});
}

void EntryWriter::checkServices(LLVM::LLVMFuncOp function) {
  Type i32 = builder.getI32Type();
  LLVM::LLVMStructType type = servicesType(module.getContext());
  Value services = function.getArgument(0);
  auto compare = [&](LLVM::ICmpPredicate predicate, Value a, int64_t b) -> Value {
    return LLVM::ICmpOp::create(builder, loc, predicate, a, constant(i32, b));
  };
  // The version first: of another one, nothing else is known, the size neither.
  returnUnless(compare(LLVM::ICmpPredicate::eq, field(type, services, 0, i32), FTRT_ABI_VERSION), FTRT_BAD_ABI);
  returnUnless(compare(LLVM::ICmpPredicate::eq, field(type, services, 1, i32), sizeof(ftrt_services)), FTRT_BAD_ABI);
  if (options.device) {
    device = field(type, services, 9, pointer);
    Value none = LLVM::ZeroOp::create(builder, loc, pointer);
    returnUnless(LLVM::ICmpOp::create(builder, loc, LLVM::ICmpPredicate::ne, device, none), FTRT_NO_DEVICE);
    Value size = field(deviceTableType(module.getContext()), device, 0, i32);
    returnUnless(compare(LLVM::ICmpPredicate::eq, size, sizeof(ftrt_device)), FTRT_NO_DEVICE);
    return;
  }
  // One unsigned comparison: 0 - 1 wraps around.
  Value less = LLVM::SubOp::create(builder, loc, field(type, services, 3, i32), constant(i32, 1));
  returnUnless(compare(LLVM::ICmpPredicate::ult, less, options.threads), FTRT_BAD_THREADS);
}

FailureOr<Place> EntryWriter::placeIn(Operation *buffer, StringRef slab, uint64_t offset) {
  auto found = slabs.find(slab);
  if (found == slabs.end())
    return buffer->emitOpError("lies in the slab '") << slab << "', which does not exist", failure();
  return Place{found->second, static_cast<int64_t>(offset)};
}

FailureOr<Place> EntryWriter::placeOf(Operation *buffer) {
  if (auto slice = dyn_cast<plan::SliceOp>(buffer)) {
    FailureOr<Place> place = placeOf(slice.getSource().getDefiningOp());
    if (succeeded(place))
      place->offset += slice.getByteOffset();
    return place;
  }
  if (auto view = dyn_cast<plan::ViewOp>(buffer))
    return placeIn(buffer, view.getSlab(), view.getOffset());
  if (auto input = dyn_cast<plan::InputOp>(buffer))
    if (input.getSlab() && input.getOffset())
      return placeIn(buffer, *input.getSlab(), *input.getOffset());
  if (auto get = dyn_cast<plan::ReadVariableOp>(buffer)) {
    auto variable = symbols.lookup<plan::VariableOp>(get.getVariable());
    if (!variable)
      return get.emitOpError("names the variable '") << get.getVariable() << "', which does not exist", failure();
    if (variable.getSlab() && variable.getOffset())
      return placeIn(buffer, *variable.getSlab(), *variable.getOffset());
  }
  return buffer->emitOpError("has no place in a slab; run plan-assign-offsets first"), failure();
}

FailureOr<Value> EntryWriter::address(Operation *buffer) {
  FailureOr<Place> place = placeOf(buffer);
  if (failed(place))
    return failure();
  Value base = bases[place->slab];
  if (place->offset == 0)
    return base;
  Value offset = constant(builder.getI64Type(), place->offset);
  return Value(LLVM::GEPOp::create(builder, loc, pointer, builder.getI8Type(), base, ArrayRef<LLVM::GEPArg>{offset}));
}

LogicalResult EntryWriter::copyScalars() {
  Type f32 = builder.getF32Type(), i64 = builder.getI64Type();
  auto type = LLVM::LLVMStructType::getLiteral(module.getContext(), {f32, f32, i64, i64, i64, i64, i64});
  for (auto input : entry.getBody().front().getOps<plan::InputOp>()) {
    if (!plan::InputOp::isScalarName(input.getName()))
      continue;
    int32_t index = llvm::StringSwitch<int32_t>(input.getName())
                        .Case("learning_rate", 0)
                        .Case("inv_tokens", 1)
                        .Case("step", 2)
                        .Case("micro", 3)
                        .Case("seed", 4)
                        .Case("row", 5)
                        .Default(6);
    auto buffer = cast<MemRefType>(input.getBuffer().getType());
    if (buffer.getRank() != 0 || buffer.getElementType() != type.getBody()[index])
      return input.emitOpError("is the scalar '")
             << input.getName() << "' of type " << type.getBody()[index] << ", not " << buffer;
    FailureOr<Value> place = address(input);
    if (failed(place))
      return failure();
    Value scalars = body->getArgument(2);
    if (options.device) {
      Value from = LLVM::GEPOp::create(builder, loc, pointer, type, scalars, ArrayRef<LLVM::GEPArg>{0, index});
      callDevice(DeviceFunction::Upload,
                 {constant(builder.getI32Type(), FTRT_STREAM_COMPUTE),
                  LLVM::PtrToIntOp::create(builder, loc, i64, *place), from, constant(i64, plan::bytesOf(buffer))});
      continue;
    }
    LLVM::StoreOp::create(builder, loc, field(type, scalars, index, type.getBody()[index]), *place);
  }
  return success();
}

LogicalResult EntryWriter::addLaunch(plan::LaunchOp launch) {
  auto driver = symbols.lookup<LLVM::LLVMFuncOp>(launch.getKernel());
  if (!driver)
    return launch.emitOpError("launches '") << launch.getKernel() << "', which is no function; lower kernels first";
  SmallVector<Place> buffers;
  for (Value buffer : launch.getBuffers()) {
    FailureOr<Place> place = placeOf(buffer.getDefiningOp());
    if (failed(place))
      return failure();
    buffers.push_back(*place);
  }
  if (driver.getNumArguments() != buffers.size() + 1)
    return launch.emitOpError("hands ") << buffers.size() << " buffers to a kernel of " << driver.getNumArguments() - 1;
  launches.add(driver, buffers);
  return success();
}

/// Calls what runs the launches since the last call; before anything else happens, and at the end.
void EntryWriter::runLaunches() {
  int64_t first = firstLaunch, end = launches.size();
  if (first == end)
    return;
  firstLaunch = end;
  Value code =
      launches.emitRun(builder, loc, options.device ? device : body->getArgument(0), body->getArgument(1), first, end);
  if (options.device)
    checkCode(code);
}

LogicalResult EntryWriter::startCopy(Operation *copy, Value near, Value far, bool out) {
  FailureOr<Value> address = this->address(near.getDefiningOp());
  FailureOr<Place> place = placeOf(far.getDefiningOp());
  if (failed(address) || failed(place))
    return failure();
  if (options.device)
    return startDeviceCopy(copy, near, *place, *address, out), success();
  Type i32 = builder.getI32Type(), i64 = builder.getI64Type();
  LLVM::LLVMStructType type = servicesType(module.getContext());
  Value services = body->getArgument(0);
  SmallVector<Value> arguments{field(type, services, out ? 6 : 7, pointer),
                               field(type, services, 2, pointer),
                               constant(i32, place->slab),
                               constant(i64, place->offset),
                               *address,
                               constant(i64, plan::bytesOf(near.getType()))};
  auto function = LLVM::LLVMFunctionType::get(i64, {pointer, i32, i64, pointer, i64});
  copies[copy->getResult(0)] = LLVM::CallOp::create(builder, loc, function, arguments).getResult();
  return success();
}

/// The copy starts when all launches before it are over, as the plan counts them, and everything that may wait for it
/// waits for an event behind it.
void EntryWriter::startDeviceCopy(Operation *copy, Value near, Place far, Value address, bool out) {
  Type i32 = builder.getI32Type(), i64 = builder.getI64Type();
  uint32_t stream = out ? FTRT_STREAM_COPY_OUT : FTRT_STREAM_COPY_IN;
  uint32_t before = eventCount++, after = eventCount++;
  record(FTRT_STREAM_COMPUTE, before);
  wait(stream, before);
  callDevice(out ? DeviceFunction::FarWrite : DeviceFunction::FarRead,
             {constant(i32, stream), constant(i32, far.slab), constant(i64, far.offset),
              LLVM::PtrToIntOp::create(builder, loc, i64, address), constant(i64, plan::bytesOf(near.getType()))});
  record(stream, after);
  overAt[copy->getResult(0)] = after;
  last[stream] = after;
}

/// An entry is over when all its streams are.
void EntryWriter::joinStreams() {
  for (std::optional<uint32_t> event : last)
    if (event)
      wait(FTRT_STREAM_COMPUTE, *event);
}

void EntryWriter::waitForCopy(plan::WaitOp wait) {
  if (options.device)
    return this->wait(FTRT_STREAM_COMPUTE, overAt.lookup(wait.getEvent()));
  LLVM::LLVMStructType type = servicesType(module.getContext());
  Value services = body->getArgument(0);
  auto function = LLVM::LLVMFunctionType::get(builder.getI32Type(), {pointer, builder.getI64Type()});
  Value code = LLVM::CallOp::create(builder, loc, function,
                                    ValueRange{field(type, services, 8, pointer), field(type, services, 2, pointer),
                                               copies.lookup(wait.getEvent())})
                   .getResult();
  returnUnless(LLVM::ICmpOp::create(builder, loc, LLVM::ICmpPredicate::eq, code, constant(builder.getI32Type(), 0)),
               FTRT_FAR_FAILED);
}

LogicalResult EntryWriter::callKernels() {
  firstLaunch = launches.size();
  for (Operation &op : entry.getBody().front()) {
    if (isa<plan::CopyOutOp, plan::CopyInOp, plan::WaitOp>(op))
      runLaunches();
    LogicalResult done =
        llvm::TypeSwitch<Operation *, LogicalResult>(&op)
            .Case([&](plan::LaunchOp launch) { return addLaunch(launch); })
            .Case([&](plan::CopyOutOp copy) { return startCopy(copy, copy.getNear(), copy.getFar(), /*out=*/true); })
            .Case([&](plan::CopyInOp copy) { return startCopy(copy, copy.getNear(), copy.getFar(), /*out=*/false); })
            .Case([&](plan::WaitOp wait) { return waitForCopy(wait), success(); })
            .Default(success());
    if (failed(done))
      return failure();
  }
  runLaunches();
  return success();
}

LogicalResult EntryWriter::write() {
  builder.setInsertionPoint(entry);
  auto type = LLVM::LLVMFunctionType::get(builder.getI32Type(), {pointer, pointer, pointer});
  auto function =
      LLVM::LLVMFuncOp::create(builder, loc, (entry.getSymName() + ".entry").str(), type, LLVM::Linkage::Internal);
  // Copies, a call for each, may be thousands in a line, each with its own addresses. Optimized, equal addresses would
  // be kept from call to call, all at once, and spilled, for nothing.
  function.setNoInline(true);
  function.setOptimizeNone(true);
  body = function.addEntryBlock(builder);
  builder.setInsertionPointToStart(body);
  checkServices(function);
  for (size_t slab = 0; slab < slabs.size(); ++slab) {
    Value place = LLVM::GEPOp::create(builder, loc, pointer, pointer, body->getArgument(1),
                                      ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(slab)});
    bases.push_back(LLVM::LoadOp::create(builder, loc, pointer, place));
  }
  if (failed(copyScalars()) || failed(callKernels()))
    return failure();
  joinStreams();
  LLVM::ReturnOp::create(builder, loc, constant(builder.getI32Type(), FTRT_OK));
  return success();
}

//===----------------------------------------------------------------------===//
// The exported constant
//===----------------------------------------------------------------------===//

/// Creates a constant global whose value `fill` computes.
static LLVM::GlobalOp createGlobal(OpBuilder &builder, Location loc, Type type, LLVM::Linkage linkage, StringRef name,
                                   function_ref<Value(OpBuilder &)> fill) {
  auto global = LLVM::GlobalOp::create(builder, loc, type, /*isConstant=*/true, linkage, name, Attribute(),
                                       /*alignment=*/8);
  OpBuilder inner(builder.getContext());
  inner.createBlock(&global.getInitializerRegion());
  LLVM::ReturnOp::create(inner, loc, fill(inner));
  return global;
}

static void createStep(ModuleOp module, ArrayRef<std::string> entries, uint32_t events) {
  OpBuilder builder = OpBuilder::atBlockEnd(module.getBody());
  MLIRContext *context = module.getContext();
  Location loc = module.getLoc();
  Type i32 = builder.getI32Type(), i64 = builder.getI64Type(), i8 = builder.getI8Type();
  Type pointer = LLVM::LLVMPointerType::get(context);

  auto bytes = module->getAttrOfType<DenseElementsAttr>(manifestAttrName);
  int64_t size = bytes ? bytes.getNumElements() : 0;
  module->removeAttr(manifestAttrName);
  if (!bytes)
    bytes = DenseElementsAttr::get(RankedTensorType::get({1}, i8), builder.getI8IntegerAttr(0));
  LLVM::GlobalOp::create(builder, loc, LLVM::LLVMArrayType::get(i8, bytes.getNumElements()), /*isConstant=*/true,
                         LLVM::Linkage::Internal, "manifest", bytes, /*alignment=*/16);

  auto tableType = LLVM::LLVMArrayType::get(pointer, entries.size());
  createGlobal(builder, loc, tableType, LLVM::Linkage::Internal, "entries", [&](OpBuilder &inner) {
    Value table = LLVM::UndefOp::create(inner, loc, tableType);
    for (auto [index, name] : llvm::enumerate(entries)) {
      Value function = LLVM::AddressOfOp::create(inner, loc, pointer, name);
      table = LLVM::InsertValueOp::create(inner, loc, table, function, static_cast<int64_t>(index));
    }
    return table;
  });

  auto stepType = LLVM::LLVMStructType::getLiteral(
      context, {i32, i32, pointer, i64, i64, pointer, i64, i64, i64, i64, pointer, pointer, pointer, i64, pointer});
  createGlobal(builder, loc, stepType, LLVM::Linkage::External, FTRT_STEP_SYMBOL, [&](OpBuilder &inner) {
    auto number = [&](Type type, int64_t value) -> Value {
      return LLVM::ConstantOp::create(inner, loc, type, inner.getIntegerAttr(type, value));
    };
    // Tables that the target has left in the module; see PlanToLLVM.h.
    auto table = [&](const char *name, Value &count) -> Value {
      auto global = module.lookupSymbol<LLVM::GlobalOp>(name);
      auto array = global ? cast<LLVM::LLVMArrayType>(global.getType()) : LLVM::LLVMArrayType();
      count = number(i64, array ? array.getNumElements() : 0);
      return global ? LLVM::AddressOfOp::create(inner, loc, global).getResult()
                    : LLVM::ZeroOp::create(inner, loc, pointer).getResult();
    };
    Value moduleCount, kernelCount, productCount, attentionCount;
    Value modules = table(modulesName, moduleCount), kernels = table(kernelsName, kernelCount);
    Value products = table(productsName, productCount), attentions = table(attentionsName, attentionCount);
    Value fields[] = {number(i32, FTRT_ABI_VERSION),
                      number(i32, sizeof(ftrt_step)),
                      LLVM::AddressOfOp::create(inner, loc, pointer, "manifest"),
                      number(i64, size),
                      number(i64, entries.size()),
                      LLVM::AddressOfOp::create(inner, loc, pointer, "entries"),
                      moduleCount,
                      kernelCount,
                      productCount,
                      number(i64, events),
                      modules,
                      kernels,
                      products,
                      attentionCount,
                      attentions};
    Value step = LLVM::UndefOp::create(inner, loc, stepType);
    for (auto [index, value] : llvm::enumerate(fields))
      step = LLVM::InsertValueOp::create(inner, loc, step, value, static_cast<int64_t>(index));
    return step;
  });
}

namespace {
struct ConvertPlanToLLVMPass : ftc::impl::ConvertPlanToLLVMPassBase<ConvertPlanToLLVMPass> {
  using ConvertPlanToLLVMPassBase::ConvertPlanToLLVMPassBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    llvm::StringMap<int32_t> slabs;
    for (auto slab : module.getOps<plan::SlabOp>())
      slabs.try_emplace(slab.getSymName(), static_cast<int32_t>(slabs.size()));
    SymbolTable symbols(module);

    ConvertPlanToLLVMPassOptions options{.threads = threads, .device = device};
    auto ofDrivers = module->getAttrOfType<IntegerAttr>(driverEventsAttrName);
    uint32_t driverEvents = ofDrivers ? static_cast<uint32_t>(ofDrivers.getInt()) : 0, events = 0;
    module->removeAttr(driverEventsAttrName);
    std::vector<std::string> entries;
    LaunchList launches;
    auto all = llvm::to_vector(module.getOps<plan::EntryOp>());
    for (plan::EntryOp entry : all) {
      EntryWriter writer(module, entry, options, slabs, symbols, launches, driverEvents);
      if (failed(writer.write()))
        return signalPassFailure();
      events = std::max(events, writer.events());
      entries.push_back((entry.getSymName() + ".entry").str());
    }
    for (Operation &op : llvm::make_early_inc_range(*module.getBody()))
      if (isa<plan::EntryOp, plan::SlabOp, plan::VariableOp>(op))
        op.erase();
    launches.write(module, device);
    createStep(module, entries, events);
  }
};
} // namespace
