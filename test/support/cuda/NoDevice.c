/* A driver without a device, for questions to NVIDIA's own libraries that need none: it counts no GPU, and takes code
 * without looking at it. cuDNN makes plans for a device that is only described, and looks these functions up before.
 *
 * Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
 * SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
 */
enum { NO_DEVICE = 100 };

int cuInit(unsigned flags) { return NO_DEVICE; }
int cuDriverGetVersion(int *version) {
  *version = 13000;
  return 0;
}
int cuDeviceGetCount(int *count) {
  *count = 0;
  return 0;
}
int cuLibraryLoadData(void **library) {
  static char some;
  *library = &some;
  return 0;
}
int cuLibraryGetKernel(void **kernel) {
  static char some;
  *kernel = &some;
  return 0;
}
int cuLibraryUnload(void *library) { return 0; }

/* Looked up, and never called where there is no device. */
#define NEVER(name)                                                                                                    \
  int name(void) { return NO_DEVICE; }
NEVER(cuCtxGetCurrent)
NEVER(cuCtxGetDevice)
NEVER(cuCtxGetLimit)
NEVER(cuCtxPopCurrent)
NEVER(cuCtxPopCurrent_v2)
NEVER(cuCtxPushCurrent)
NEVER(cuCtxPushCurrent_v2)
NEVER(cuCtxSetCurrent)
NEVER(cuDeviceGet)
NEVER(cuDeviceGetAttribute)
NEVER(cuDevicePrimaryCtxRelease)
NEVER(cuDevicePrimaryCtxRelease_v2)
NEVER(cuDevicePrimaryCtxReset)
NEVER(cuDevicePrimaryCtxReset_v2)
NEVER(cuDevicePrimaryCtxRetain)
NEVER(cuFuncGetAttribute)
NEVER(cuFuncSetAttribute)
NEVER(cuGetErrorName)
NEVER(cuGetErrorString)
NEVER(cuKernelGetAttribute)
NEVER(cuKernelGetFunction)
NEVER(cuKernelSetAttribute)
NEVER(cuLaunchCooperativeKernel)
NEVER(cuLaunchKernel)
NEVER(cuLaunchKernelEx)
NEVER(cuLibraryGetModule)
NEVER(cuLibraryLoadFromFile)
NEVER(cuLinkAddData)
NEVER(cuLinkAddData_v2)
NEVER(cuLinkAddFile)
NEVER(cuLinkAddFile_v2)
NEVER(cuLinkComplete)
NEVER(cuLinkCreate)
NEVER(cuLinkCreate_v2)
NEVER(cuLinkDestroy)
NEVER(cuMemcpyDtoH_v2)
NEVER(cuModuleGetFunction)
NEVER(cuModuleGetGlobal_v2)
NEVER(cuModuleLoadData)
NEVER(cuModuleLoadDataEx)
NEVER(cuModuleLoadFatBinary)
NEVER(cuModuleUnload)
NEVER(cuOccupancyMaxActiveBlocksPerMultiprocessor)
NEVER(cuOccupancyMaxPotentialClusterSize)
NEVER(cuStreamGetCtx)
NEVER(cuStreamGetGreenCtx)
NEVER(cuStreamSynchronize)
NEVER(cuTensorMapEncodeTiled)
