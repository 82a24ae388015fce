//! What stands in for package registries: a package or two in each, which clients install and use.

use super::World;
use super::clients::said;
use std::process::Command;

/// Puts them among the other machine's pages, and what uses them into the workspace.
pub(super) fn set_up(world: &World) {
    repository(world);
    packages(world);
    go(world);
    if world.with_java {
        maven(world);
    }
}

/// A repository for the plain HTTP protocol.
fn repository(world: &World) {
    let script = "mkdir src && cd src && git init -q . && echo 'from the repository' > file && git add file && \
        git -c user.name=x -c user.email=x@x commit -qm one && git update-server-info && cp -r .git ../pages/repo.git";
    let mut command = Command::new("sh");
    command.args(["-c", script]).current_dir(world.place.path("world")).env("HOME", world.place.path("home"));
    let _ = command.output();
}

/// The registries of Python, Node and Rust.
fn packages(world: &World) {
    world.place.write(
        "world/packages.py",
        r#"
import hashlib, io, json, os, tarfile, zipfile
os.makedirs("simple/thing"); os.makedirs("npm"); os.makedirs("index/th/in"); os.makedirs("dl/thing/1.0.0")
open("simple/thing/index.html", "w").write('<!DOCTYPE html><html><body><a href="/thing-1.0-py3-none-any.whl">thing-1.0-py3-none-any.whl</a></body></html>')
z = zipfile.ZipFile("thing-1.0-py3-none-any.whl", "w")
z.writestr("thing.py", "x = 1")
z.writestr("thing-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n")
z.writestr("thing-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
z.writestr("thing-1.0.dist-info/RECORD", "")
z.close()
def archive(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name); entry.size = len(text); entry.mode = 0o644
            tar.addfile(entry, io.BytesIO(text.encode()))
    return out.getvalue()
package = archive({"package/package.json": '{"name":"thing","version":"1.0.0","main":"index.js"}', "package/index.js": "module.exports = 2"})
open("thing-1.0.0.tgz", "wb").write(package)
dist = {"tarball": "https://allowed.test/thing-1.0.0.tgz", "shasum": hashlib.sha1(package).hexdigest()}
version = {"name": "thing", "version": "1.0.0", "dist": dist}
json.dump({"name": "thing", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}}, open("npm/thing", "w"))
crate = archive({"thing-1.0.0/Cargo.toml": '[package]\nname = "thing"\nversion = "1.0.0"\nedition = "2021"\n', "thing-1.0.0/src/lib.rs": "pub const X: u8 = 3;"})
open("dl/thing/1.0.0/download", "wb").write(crate)
json.dump({"dl": "https://allowed.test/dl"}, open("index/config.json", "w"))
json.dump({"name": "thing", "vers": "1.0.0", "deps": [], "cksum": hashlib.sha256(crate).hexdigest(), "features": {}, "yanked": False}, open("index/th/in/thing", "w"))
"#,
    );
    run(world, "packages.py");
    world.place.write("ws/crate/src/main.rs", "fn main() { println!(\"{}\", thing::X) }");
    world.place.write(
        "ws/crate/Cargo.toml",
        "[package]\nname = \"x\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[workspace]\n[dependencies]\nthing = { version = \"1\", registry = \"local\" }\n",
    );
}

/// A module for Go, as its module proxies serve it.
fn go(world: &World) {
    world.place.write(
        "world/go.py",
        r#"
import os, zipfile
at = "go/example.test/thing/@v/"
os.makedirs(at)
module = "module example.test/thing\n\ngo 1.16\n"
open(at + "list", "w").write("v1.0.0\n")
open(at + "v1.0.0.info", "w").write('{"Version":"v1.0.0","Time":"2020-01-01T00:00:00Z"}')
open(at + "v1.0.0.mod", "w").write(module)
with zipfile.ZipFile(at + "v1.0.0.zip", "w") as z:
    z.writestr("example.test/thing@v1.0.0/go.mod", module)
    z.writestr("example.test/thing@v1.0.0/thing.go", "package thing\n\nconst X = 4\n")
"#,
    );
    run(world, "go.py");
    world.place.write("ws/go/go.mod", "module example.test/x\n\ngo 1.16\n\nrequire example.test/thing v1.0.0\n");
    let main = "package main\n\nimport \"example.test/thing\"\n\nfunc main() { println(thing.X) }\n";
    world.place.write("ws/go/main.go", main);
}

/// A repository of Maven's, with a plug-in that says what the library it depends on holds.
fn maven(world: &World) {
    world.place.write(
        "world/maven.py",
        r#"
import hashlib, os, subprocess, sys, zipfile
def put(name, files, packaging, more="", group="test", version="1.0"):
    at = f"maven/{group.replace('.', '/')}/{name}/{version}/"
    os.makedirs(at)
    def file(kind, content):
        path = f"{at}{name}-{version}.{kind}"
        open(path, "wb").write(content)
        open(path + ".sha1", "w").write(hashlib.sha1(content).hexdigest())
    file("pom", f'<project><modelVersion>4.0.0</modelVersion><groupId>{group}</groupId><artifactId>{name}</artifactId>'
         f'<version>{version}</version><packaging>{packaging}</packaging>{more}</project>'.encode())
    with zipfile.ZipFile("jar", "w") as jar:
        for path, content in files.items():
            jar.writestr(path, content)
    file("jar", open("jar", "rb").read())
    file("txt", b"6\n")
    os.remove("jar")
put("thing", {"thing.txt": "5"}, "jar")
# What Maven adds to every plug-in that doesn't name it.
put("plexus-utils", {"empty": ""}, "jar", group="org.codehaus.plexus", version="1.1")
if len(sys.argv) > 1:
    open("Say.java", "w").write("""
public class Say extends org.apache.maven.plugin.AbstractMojo {
    public void execute() throws org.apache.maven.plugin.MojoExecutionException {
        try (var from = getClass().getResourceAsStream("/thing.txt")) {
            System.out.println(new String(from.readAllBytes()));
        } catch (java.io.IOException error) {
            throw new org.apache.maven.plugin.MojoExecutionException("no thing", error);
        }
    }
}
""")
    subprocess.run(["javac", "--release", "11", "-cp", sys.argv[1] + "/lib/*", "Say.java"], check=True)
    plugin = """<plugin><name>say</name><groupId>test</groupId><artifactId>say-maven-plugin</artifactId><version>1.0</version>
<goalPrefix>say</goalPrefix><mojos><mojo><goal>say</goal><requiresProject>false</requiresProject>
<implementation>Say</implementation><language>java</language>
<instantiationStrategy>per-lookup</instantiationStrategy></mojo></mojos></plugin>"""
    files = {"META-INF/maven/plugin.xml": plugin, "Say.class": open("Say.class", "rb").read()}
    more = "<dependencies><dependency><groupId>test</groupId><artifactId>thing</artifactId><version>1.0</version></dependency></dependencies>"
    put("say-maven-plugin", files, "maven-plugin", more)
"#,
    );
    // The class of a plug-in is made with what Maven itself has of them.
    let home = said("mvn", &["-v"]).unwrap_or_default();
    let home: Vec<&str> = home.lines().filter_map(|line| line.strip_prefix("Maven home: ")).collect();
    run(world, &["maven.py"].into_iter().chain(home).collect::<Vec<_>>().join(" "));
    world.place.write(
        "ws/maven/settings.xml",
        "<settings><mirrors><mirror><id>one</id><mirrorOf>*</mirrorOf><url>https://allowed.test/maven</url></mirror></mirrors></settings>",
    );
    world.place.write("ws/gradle/settings.gradle", "rootProject.name = 'x'\n");
    world.place.write(
        "ws/gradle/build.gradle",
        "repositories { maven { url 'https://allowed.test/maven' } }\nconfigurations { things }\n\
         dependencies { things 'test:thing:1.0@txt' }\n\
         tasks.create('say') { doLast { println configurations.things.singleFile.text } }\n",
    );
}

/// Runs a program of the other machine's among its pages.
fn run(world: &World, program: &str) {
    let pages = world.place.path("world/pages");
    let made =
        Command::new("sh").args(["-c", &format!("exec python3 ../{program}")]).current_dir(pages).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}
