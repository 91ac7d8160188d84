"""The pack's nodes by id; ids and input names never change once released."""

from .all_in_one import AllInOne
from .compare import CompareImages, StrengthPlot
from .demo import DemoCheckpoint
from .edit import PromptEdit, PromptMask
from .folder import FolderImage
from .grid import StrengthGrid
from .guard import guarded
from .image import FitImage, MatchColors, UnfitImage
from .inversion import DDIMInvert, InversionSampler, InversionSteps
from .mask import AdjustMask, KeepUnmasked, OutpaintCanvas
from .noise import SDEditNoise
from .null_text import NullTextOptimize
from .preset import StrengthPreset
from .prompts import PromptSchedule
from .refine import ProgressiveRefine, RefinePass
from .region import CropForMask, UncropForMask
from .restore import RestoreDetail
from .sampling import GuidedSampler
from .schedule import SplitSigmas, StrengthScheduler
from .style import StyleBatch
from .tiles import TiledRefine
from .variation import VariationBatch

NODE_CLASS_MAPPINGS = {
    "StrengthScheduler": StrengthScheduler,
    "SDEditNoise": SDEditNoise,
    "ProgressiveRefine": ProgressiveRefine,
    "DDIMInvert": DDIMInvert,
    "VariationBatch": VariationBatch,
    "Img2ImgAdjustMask": AdjustMask,
    "Img2ImgAllInOne": AllInOne,
    "Img2ImgDemoCheckpoint": DemoCheckpoint,
    "Img2ImgCompareImages": CompareImages,
    "Img2ImgCropForMask": CropForMask,
    "Img2ImgFitImage": FitImage,
    "Img2ImgFolderImage": FolderImage,
    "Img2ImgGuidedSampler": GuidedSampler,
    "Img2ImgInversionSampler": InversionSampler,
    "Img2ImgInversionSteps": InversionSteps,
    "Img2ImgKeepUnmasked": KeepUnmasked,
    "Img2ImgMatchColors": MatchColors,
    "Img2ImgNullTextOptimize": NullTextOptimize,
    "Img2ImgOutpaintCanvas": OutpaintCanvas,
    "Img2ImgPromptEdit": PromptEdit,
    "Img2ImgPromptMask": PromptMask,
    "Img2ImgPromptSchedule": PromptSchedule,
    "Img2ImgRefinePass": RefinePass,
    "Img2ImgRestoreDetail": RestoreDetail,
    "Img2ImgSplitSigmas": SplitSigmas,
    "Img2ImgStrengthGrid": StrengthGrid,
    "Img2ImgStrengthPlot": StrengthPlot,
    "Img2ImgStrengthPreset": StrengthPreset,
    "Img2ImgStyleBatch": StyleBatch,
    "Img2ImgTiledRefine": TiledRefine,
    "Img2ImgUncropForMask": UncropForMask,
    "Img2ImgUnfitImage": UnfitImage,
}

NODE_DISPLAY_NAME_MAPPINGS = {
    "StrengthScheduler": "Strength Scheduler (denoise)",
    "SDEditNoise": "Noise Latent (SDEdit)",
    "ProgressiveRefine": "Progressive Refine (loopback)",
    "DDIMInvert": "Invert to Noise (DDIM)",
    "VariationBatch": "Variation Batch",
    "Img2ImgAdjustMask": "Adjust Mask (grow, blur, fill)",
    "Img2ImgAllInOne": "Image to Image (All in One)",
    "Img2ImgDemoCheckpoint": "Demo Checkpoint (a toy)",
    "Img2ImgCompareImages": "Compare Images (before/after)",
    "Img2ImgCropForMask": "Inpaint Crop (around the mask)",
    "Img2ImgFitImage": "Fit Image (resize)",
    "Img2ImgFolderImage": "Batch Folder",
    "Img2ImgGuidedSampler": "Guided Sampler",
    "Img2ImgInversionSampler": "Inversion Sampler",
    "Img2ImgInversionSteps": "Inversion Steps",
    "Img2ImgKeepUnmasked": "Inpaint: Keep Unmasked",
    "Img2ImgMatchColors": "Match Colors",
    "Img2ImgNullTextOptimize": "Null-Text Optimize",
    "Img2ImgOutpaintCanvas": "Outpaint Canvas",
    "Img2ImgPromptEdit": "Edit by Words",
    "Img2ImgPromptMask": "Mask by Words",
    "Img2ImgPromptSchedule": "Prompt Schedule",
    "Img2ImgRefinePass": "Refine Pass",
    "Img2ImgRestoreDetail": "Restore Detail",
    "Img2ImgSplitSigmas": "Split Sigmas at Noise",
    "Img2ImgStrengthGrid": "Strength Grid (XY plot)",
    "Img2ImgStrengthPlot": "Strength Plot",
    "Img2ImgStrengthPreset": "Strength Preset",
    "Img2ImgStyleBatch": "Style Batch",
    "Img2ImgTiledRefine": "Upscale",
    "Img2ImgUncropForMask": "Inpaint Stitch (uncrop)",
    "Img2ImgUnfitImage": "Unfit Image (restore size)",
}

for node in NODE_CLASS_MAPPINGS.values():
    guarded(node)
