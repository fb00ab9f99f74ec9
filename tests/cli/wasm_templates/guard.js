// Answers by the name of the tool: see test_wasm_templates.py.
import { getMetadata, getTime } from 'mcp:security-guard/host@1.0.0';

export const toolInvoke = {
  evaluate(toolName, args, context) {
    switch (toolName) {
      case 'modify':
        return { tag: 'modify', val: '{"path":"é"}' };
      case 'fail':
        throw 'no é';
      case 'deny':
        return { tag: 'deny', val: { code: 'probed', message: 'No é.', details: '{"why":"é"}' } };
      case 'warn':
        return {
          tag: 'warn',
          val: [
            context.serverName, context.tenant ?? 'none', context.identity ?? 'none',
            context.verified ? 'verified' : 'not verified', context.method,
            getMetadata('subject') ?? 'none', getMetadata('nothing') ?? 'none',
            getTime() > 1600000000000 ? 'after 2020' : 'before',
          ],
        };
      default:
        return { tag: 'allow' };
    }
  },
};
