// Gives exports the names of the component model, which no identifier can be: tool_invoke__evaluate becomes the
// function evaluate of the interface tool-invoke.
import { Transform } from 'assemblyscript/transform';

export default class extends Transform {
  afterCompile(module) {
    const exported = Array.from({ length: module.getNumExports() }, (_, index) =>
      this.binaryen.getExportInfo(module.getExportByIndex(index)));
    for (const { name, value } of exported) {
      const [between, called] = name.split('__');
      if (called === undefined) continue;
      module.removeExport(name);
      module.addFunctionExport(value, `mcp:security-guard/${between.replaceAll('_', '-')}@1.0.0#${called}`);
    }
  }
}
