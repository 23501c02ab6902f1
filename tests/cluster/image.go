package main

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// pack makes an image of one layer, from a folder that is its root file system,
// in an archive that `import` takes. A container of it that does not say what it
// runs runs the command, or sleeps.
func pack(words []string) error {
	if len(words) < 3 {
		return errors.New("say what: pack NAME FOLDER ARCHIVE [COMMAND...]")
	}
	runs := words[3:]
	if len(runs) == 0 {
		runs = []string{"/bin/sleep", "2147483647"}
	}
	name, folder, archive := words[0], words[1], words[2]
	if _, tag, _ := strings.Cut(filepath.Base(name), ":"); tag == "" || tag == "latest" {
		return fmt.Errorf("%s: give it a tag other than latest, or nodes try to pull it", name)
	}
	layer, err := os.CreateTemp(filepath.Dir(archive), "layer-")
	if err != nil {
		return err
	}
	defer os.Remove(layer.Name())
	defer layer.Close()
	hash := sha256.New()
	if err := writeLayer(io.MultiWriter(layer, hash), folder); err != nil {
		return err
	}
	digest := hex.EncodeToString(hash.Sum(nil))
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH,
		"os":           "linux",
		"config":       map[string]any{"Env": []string{"PATH=/bin"}, "Cmd": runs},
		"rootfs":       map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + digest}},
	})
	if err != nil {
		return err
	}
	manifest, err := json.Marshal([]any{map[string]any{
		"Config": "config.json", "RepoTags": []string{name}, "Layers": []string{"layer.tar"},
	}})
	if err != nil {
		return err
	}
	return writeImage(archive, layer, map[string][]byte{"manifest.json": manifest, "config.json": config})
}

func writeImage(archive string, layer *os.File, texts map[string][]byte) error {
	file, err := os.CreateTemp(filepath.Dir(archive), "image-")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	out := tar.NewWriter(file)
	for name, text := range texts {
		if err := out.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))}); err != nil {
			return err
		}
		if _, err := out.Write(text); err != nil {
			return err
		}
	}
	size, err := layer.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if _, err := layer.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if err := out.WriteHeader(&tar.Header{Name: "layer.tar", Mode: 0o644, Size: size}); err != nil {
		return err
	}
	if _, err := io.Copy(out, layer); err != nil {
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	// Whole or not at all.
	return os.Rename(file.Name(), archive)
}

// writeLayer writes a folder as an archive, all of it the administrator's.
func writeLayer(to io.Writer, folder string) error {
	out := tar.NewWriter(to)
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == folder {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		var target string
		if info.Mode()&fs.ModeSymlink != 0 {
			if target, err = os.Readlink(path); err != nil {
				return err
			}
		}
		header, err := tar.FileInfoHeader(info, target)
		if err != nil {
			return err
		}
		if header.Name, err = filepath.Rel(folder, path); err != nil {
			return err
		}
		header.Uid, header.Gid, header.Uname, header.Gname = 0, 0, "", ""
		if err := out.WriteHeader(header); err != nil || !info.Mode().IsRegular() {
			return err
		}
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer file.Close()
		_, err = io.Copy(out, file)
		return err
	})
	if err != nil {
		return err
	}
	return out.Close()
}

// makeBusybox makes the image that pods of tests, and pause containers, are
// made of: a shell with the usual commands.
func (c cluster) makeBusybox() error {
	archive := c.path("images", "busybox.tar")
	if _, err := os.Stat(archive); err == nil {
		return nil
	}
	root := c.path("images", "busybox")
	for _, folder := range []string{"bin", "tmp", "etc"} {
		if err := os.MkdirAll(filepath.Join(root, folder), 0o755); err != nil {
			return err
		}
	}
	program := findProgram("busybox")
	commands, err := exec.Command(program, "--list").Output()
	if err != nil {
		return fmt.Errorf("%s --list: %w", program, err)
	}
	for name := range strings.FieldsSeq(string(commands)) {
		if name == "busybox" {
			continue
		}
		err := os.Symlink("busybox", filepath.Join(root, "bin", name))
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	text, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(root, "bin", "busybox"), text, 0o755); err != nil {
		return err
	}
	if err := os.Chmod(filepath.Join(root, "tmp"), 0o1777); err != nil {
		return err
	}
	if err := pack([]string{busyboxImage, root, archive}); err != nil {
		return err
	}
	return os.RemoveAll(root)
}
