// Unpacks what the npm package carries, into the folder it is run in: the browser, libraries that a bare system lacks, and
// fonts. Run by scripts/browser.sh; a repeat writes the same.
import { createReadStream, createWriteStream, chmodSync, rmSync, writeFileSync } from "node:fs";
import { pipeline } from "node:stream/promises";
import { createBrotliDecompress } from "node:zlib";
import tar from "tar-fs";

const packed = "node_modules/@sparticuz/chromium/bin";
await pipeline(createReadStream(`${packed}/chromium.br`), createBrotliDecompress(), createWriteStream("chromium"));
chmodSync("chromium", 0o755);
for (const name of ["al2023", "fonts", "swiftshader"]) {
  await pipeline(createReadStream(`${packed}/${name}.tar.br`), createBrotliDecompress(), tar.extract("."));
}
rmSync(packed, { recursive: true });
writeFileSync("fonts.conf", `<fontconfig><dir>${process.argv[2]}/fonts</dir><cachedir>${process.argv[2]}/fonts-cache</cachedir></fontconfig>\n`);
