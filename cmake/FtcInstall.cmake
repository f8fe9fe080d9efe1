# What `cmake --install build --prefix DIR` puts where: the programs, the runtime that embeds a step with its headers and
# its pkg-config file, and the recipes, where an installed ftc looks for them.

include(GNUInstallDirs)
install(TARGETS ftc ftrun ftc-opt ftrt
        RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR}
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/ftrt DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY configs DESTINATION ${CMAKE_INSTALL_DATADIR}/ftc)
install(DIRECTORY docs examples DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES README.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
# Folders relative to the file itself: the prefix is known no earlier than at installation.
file(WRITE ${CMAKE_BINARY_DIR}/ftrt.pc
"prefix=\${pcfiledir}/../..
libdir=\${prefix}/lib
includedir=\${prefix}/include

Name: ftrt
Description: Runs a training step that ftc compiled
Version: ${PROJECT_VERSION}
Cflags: -I\${includedir}
Libs: -L\${libdir} -lftrt
")
install(FILES ${CMAKE_BINARY_DIR}/ftrt.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
