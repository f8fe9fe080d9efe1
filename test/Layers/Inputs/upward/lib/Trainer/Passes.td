def JoinPass : Pass<"join", "::mlir::ModuleOp"> {
  let description = [{
    ```mlir
    ```
  }];
}
def CutPass : SomePass<"cut"> {
  let summary = "shows nothing";
}
