#include <yaml-cpp/yaml.h>
#include <ftc/Config/Recipe.h>
