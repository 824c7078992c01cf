package main

import (
	"fmt"
	"go/types"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// bridges describes packages that exist only in the overlay. They lie in the standard library, so they may import packages
// that nothing else may import. They pass on the names that the tests use from these packages.
type bridges map[string]map[string]types.Object // import path -> name -> object

// add notes the use of an object, if its package is behind a bridge.
func (b bridges) add(obj types.Object) {
	if obj == nil || obj.Pkg() == nil {
		return
	}
	path := strings.TrimPrefix(obj.Pkg().Path(), "vendor/")
	if !standardOnly(path) {
		return
	}
	if b[path] == nil {
		b[path] = make(map[string]types.Object)
	}
	b[path][obj.Name()] = obj
}

// bridgePath returns the import path of the bridge to a package.
func bridgePath(path string) string {
	return "net/http/peerpoolbridge/" + strings.ReplaceAll(path, "/", "_")
}

// write writes the bridges into a folder, and returns the paths at which the overlay shows them.
func (b bridges) write(dir, src string) (map[string]string, error) {
	shown := make(map[string]string)
	for path, objects := range b {
		file := filepath.Join(dir, filepath.Base(bridgePath(path))+".go")
		if err := os.WriteFile(file, bridgeSource(path, objects), 0o666); err != nil {
			return nil, err
		}
		shown[filepath.Join(src, filepath.FromSlash(bridgePath(path)), "bridge.go")] = file
	}
	return shown, nil
}

func bridgeSource(path string, objects map[string]types.Object) []byte {
	var text []byte
	for i, name := range slices.Sorted(maps.Keys(objects)) {
		if i == 0 {
			text = fmt.Appendf(text, "package %s\n\nimport behind %q\n\n", objects[name].Pkg().Name(), path)
		}
		keyword := "var"
		switch objects[name].(type) {
		case *types.TypeName:
			keyword = "type"
		case *types.Const:
			keyword = "const"
		}
		text = fmt.Appendf(text, "%s %s = behind.%s\n", keyword, name, name)
	}
	return text
}
